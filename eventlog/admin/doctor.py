"""What is wrong with a store, in plain words, and which command helps. Also works on a store that cannot be opened."""

from __future__ import annotations

import os
import re
import resource
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from eventlog.access import as_path
from eventlog.admin.group_health import check_group
from eventlog.anchored import by_name
from eventlog.catalog.copied import CopiedCatalog
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.groups import GroupCatalog
from eventlog.catalog.topics import TopicCatalog, TopicDescription
from eventlog.catalog.transactions import TransactionCatalog
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, UnsupportedFormatError
from eventlog.options import check_bool, check_mode
from eventlog.storage.mapped.foreign_heads import read_partition_offsets, trusted_head
from eventlog.storage.mapped.gate import gate_holder
from eventlog.storage.mapped.head_checks import has_its_segments
from eventlog.storage.mapped.head_health import HeadHealth, latest_timestamp, read_head_health, would_recover, wrong_indexes
from eventlog.storage.mapped.limits import is_announced
from eventlog.storage.mapped.poison import DAMAGED
from eventlog.storage.segments import files, names
from eventlog.storage.segments.continuity import missing_segment
from eventlog.storage.segments.file_locks import lock_holders
from eventlog.storage.segments.inspection import verify_partition
from eventlog.storage.segments.start import start_of
from eventlog.storage.segments.store import OpenDirectory, ReadOnlyDirectory, StoreDirectory

ERROR, WARNING, NOTE = "error", "warning", "note"

_SHARED_BY_GROUP = 0o070
_FREE_BYTES_MIN = 2**26
_FREE_BYTES_WANTED = 2**30
_FILES_A_PARTITION, _FILES_BESIDES = 4, 64
_FUTURE_MS = 3_600_000
_UNFLUSHED_SECONDS = 60
_PROBLEMS_SHOWN = 5
_LOCK_TIMEOUT_MS = 30_000
_LATE_MS = 10_000
_TEMPORARY = re.compile(r".+?\.(?:(\d+)(?:\.\d+)?\.)?tmp")


@dataclass(frozen=True)
class Finding:
    """Something about a store: its severity ("error", "warning" or "note"), its subject, the text in plain words, and the
    command that helps, if there is one."""

    severity: str
    subject: str
    text: str
    command: str | None = None


@dataclass(frozen=True)
class _Partition:
    """A partition whose directory is there."""

    store: Path
    topic: TopicDescription
    number: int

    @property
    def name(self) -> str:
        return f"{self.topic.name}/{self.number}"

    @property
    def directory(self) -> Path:
        return names.partition_directory(self.store, self.topic.name, self.number)

    @property
    def head_file(self) -> Path:
        return names.head_file(self.store, self.topic.name, self.number)


def diagnose(path: str | os.PathLike[str], *, deep: bool = False, mode: str = "rw") -> list[Finding]:
    """Check a store, whoever has it open: errors first, then warnings, then notes. With `deep` every byte is verified.

    Nothing is recovered or changed, except that the catalog's reader slots of dead processes are freed; with the mode "r"
    nothing is written or locked at all, as for `open`. Raises `InvalidArgumentError` and `InvalidTypeError` for bad arguments
    only: what is wrong with the store is a finding."""
    store = as_path("path", path)
    check_bool("deep", deep)
    is_read_only = check_mode(mode) == "r"
    try:
        directory = _opened(store, is_read_only=is_read_only)
    except EventLogError as error:
        return [Finding(ERROR, str(store), str(error))]
    with closing(directory):
        return _sorted(_findings(directory.path, deep, is_read_only))


def _opened(store: Path, *, is_read_only: bool) -> OpenDirectory:
    return ReadOnlyDirectory(store) if is_read_only else StoreDirectory(store, create=False, lock_timeout_ms=_LOCK_TIMEOUT_MS)


def _findings(store: Path, deep: bool, is_read_only: bool) -> list[Finding]:
    findings = [*_guarded(str(store), lambda: _directory(store))]
    try:
        catalog = names.catalog_directory(store)
        environment = CopiedCatalog(catalog) if is_read_only else CatalogEnvironment(catalog, create=False, read_only=True)
    except EventLogError as error:
        return [*findings, Finding(ERROR, "catalog", f"{error}", "eventlog restore BACKUP DEST")]
    try:
        findings += _guarded("catalog", lambda: _catalog(store, environment))
        topics, groups = TopicCatalog(environment), GroupCatalog(environment)
        descriptions = topics.all()
        partitions = [
            partition for topic in descriptions for number in range(topic.partitions)
            if (partition := _Partition(store, topic, number)).directory.is_dir()
        ]  # fmt: skip
        group_names = groups.names()
        findings += _guarded(str(store), lambda: _summary(store, descriptions, partitions, group_names))
        findings += _guarded("files", lambda: _files(store, topics, groups))
        findings += _guarded("open files", lambda: _limits(len(partitions)))
        for partition in partitions:
            findings += _guarded(partition.name, lambda each=partition: _check_partition(each, deep))  # type: ignore[misc]
        findings += _guarded("transactions", lambda: _transactions(TransactionCatalog(environment)))
        for name in group_names:
            findings += _guarded(f"group {name}", lambda each=name: _check_group(store, groups, each))  # type: ignore[misc]
    except (EventLogError, OSError) as error:
        findings.append(Finding(ERROR, "catalog", by_name(str(error)), "eventlog restore BACKUP DEST"))
    finally:
        environment.close()
    return findings


def _transactions(catalog: TransactionCatalog) -> Iterator[Finding]:
    """Those that should have ended: consumers wait for them, unless they read what is not committed."""
    now = now_ms()
    for state in catalog.all():
        late_ms = now - (state.started_ms or state.updated_ms) - state.timeout_ms
        if state.is_open and late_ms > _LATE_MS:
            yield Finding(
                WARNING,
                f"transaction {state.transactional_id}",
                f"it is open ({state.state}) {late_ms // 1000} s longer than its timeout, and consumers wait for it: there is "
                "no process that ends it",
                f"eventlog transactions abort {shlex.quote(state.transactional_id)} --execute",
            )


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (ERROR, WARNING, NOTE).index(finding.severity))


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check finds; that it cannot be made is a finding, too."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except FileNotFoundError:
        pass  # deleted meanwhile
    except (OSError, EventLogError) as error:
        found.append(Finding(ERROR, subject, by_name(f"this could not be checked: {error}")))
    return found


def _summary(
    store: Path, topics: list[TopicDescription], partitions: list[_Partition], groups: list[str]
) -> Iterator[Finding]:
    size = sum(files.size_of(path) for each in partitions for path in each.directory.iterdir())
    text = f"topics: {len(topics)}, partitions in use: {len(partitions)}, groups: {len(groups)}, bytes in files: {size}"
    yield Finding(NOTE, str(store), text)


def _directory(store: Path) -> Iterator[Finding]:
    for path in (store, names.logs_directory(store), names.shared_directory(store), names.catalog_directory(store)):
        mode = path.stat().st_mode & 0o077
        if mode not in (0, _SHARED_BY_GROUP):
            text = f"other users can access {path}: a store is meant for its owner alone"
            yield Finding(WARNING, "permissions", text, f"chmod go= {shlex.quote(str(path))}")
    free = shutil.disk_usage(store).free
    if free < _FREE_BYTES_WANTED:
        severity = ERROR if free < _FREE_BYTES_MIN else WARNING
        text = f"{free} bytes are free; when none are left, appends raise DiskFullError until there is room again"
        yield Finding(severity, "disk space", text, f"df -h {shlex.quote(str(store))}")


def _limits(partitions: int) -> Iterator[Finding]:
    limit, wanted = resource.getrlimit(resource.RLIMIT_NOFILE)[0], partitions * _FILES_A_PARTITION + _FILES_BESIDES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        text = f"a process may open {limit} files, but using all {partitions} partitions needs {wanted}"
        yield Finding(WARNING, "open files", text, f"ulimit -n {wanted}")


def _catalog(store: Path, environment: CatalogEnvironment) -> Iterator[Finding]:
    holder = gate_holder(names.catalog_gate_file(store))
    if holder is not None and _state_of(holder) in ("T", "t"):
        text = (
            f"process {holder} is stopped while changing the catalog: no other process can open the store until it "
            "continues or ends"
        )
        yield Finding(ERROR, "catalog", text, f"kill -CONT {holder}")
    freed = environment.free_dead_readers()
    if freed:
        yield Finding(NOTE, "catalog", f"{freed} processes died while reading it; their reader slots were freed just now")


def _files(store: Path, topics: TopicCatalog, groups: GroupCatalog) -> Iterator[Finding]:
    """Files and directories that nothing belongs to."""
    logs, shared = (sorted(path(store).iterdir()) for path in (names.logs_directory, names.shared_directory))
    counts = {topic.name: topic.partitions for topic in topics.all()}  # after the directories: these may be new
    deleted = {topic.name: topic.partitions for topic in topics.being_deleted()}
    for name in deleted:
        text = "it is being deleted, or the process that did so died: the next round of housekeeping removes the rest"
        yield Finding(NOTE, f"topic {name}", text, "eventlog maintain")
    for path in logs:
        parsed = names.parse_partition_directory(path.name)
        if parsed is None or not path.is_dir():
            yield Finding(WARNING, "logs", f"{path} is not a partition: nothing else belongs there")
        elif parsed[0] not in {**counts, **deleted}:
            yield Finding(NOTE, "logs", f"{path} is not in the catalog: opening the store adds it as a topic")
        elif parsed[0] in counts and parsed[1] >= counts[parsed[0]]:
            text = f"{path} is partition {parsed[1]} of a topic that has {counts[parsed[0]]}: it is never read"
            yield Finding(WARNING, "logs", text)
    in_use = [*counts.items(), *deleted.items()]
    named = (names.head_file, names.producers_file)
    known = {name(store, topic, number).name for topic, count in in_use for number in range(count) for name in named}
    with groups.read_all() as found:
        known |= {names.acks_file(store, group.name).name for group in found}
        known |= {names.share_file(store, group.name, *partition).name for group in found for partition in group.offsets()}
    known |= {file(store).name for file in names.SHARED_FILES}
    for path in shared:
        if path.name not in known and not _TEMPORARY.fullmatch(path.name) and path.exists():
            yield Finding(NOTE, "shared", f"{path} does not belong to any topic or group", f"rm {shlex.quote(str(path))}")
    yield from _left_over(store)


def _left_over(store: Path) -> Iterator[Finding]:
    """What dead processes have left behind, and what was cut off."""
    for parent, _, found in os.walk(store):
        for name in found:
            match = _TEMPORARY.fullmatch(name)
            path = Path(by_name(parent), name)
            if match is not None and not (match[1] and Path("/proc", match[1]).exists()) and Path(parent, name).exists():
                text = f"{path} was left by a process that died while writing it"
                yield Finding(NOTE, "temporary files", text, f"rm {shlex.quote(str(path))}")
        if any(name.endswith((names.CLEANED_SUFFIX, names.SWAP_SUFFIX)) for name in found) and not _is_maintained(store):
            text = f"a process died while compacting {by_name(parent)}: the next round of housekeeping completes its work"
            yield Finding(NOTE, "temporary files", text, "eventlog maintain")
    removed = store / "removed"
    cut_off = (path for path in removed.rglob("*") if not path.parent.name.endswith(names.DELETED_SUFFIX))
    kept = sum(files.size_of(path) for path in cut_off if path.is_file())
    if kept:
        text = f"{kept} bytes that recovery or repair cut off are kept in {removed}: delete them once they are not needed"
        yield Finding(NOTE, "removed", text, f"rm -r {shlex.quote(str(removed))}")


def _is_maintained(store: Path) -> bool:
    """Does a process do the housekeeping right now?"""
    try:
        with open(names.maintenance_file(store), "rb") as file:
            return bool(lock_holders(file.fileno()))
    except FileNotFoundError:
        return False


def _check_partition(partition: _Partition, deep: bool) -> Iterator[Finding]:
    head = read_head_health(partition.head_file)
    yield from _health(partition, head)
    if not deep:
        yield from _missing(partition)
    for holder in head.mutex_holders:
        if _state_of(holder) in ("T", "t"):
            text = (
                f"process {holder} is stopped while it holds a mutex: appends of other processes time out until it "
                "continues or ends"
            )
            yield Finding(ERROR, partition.name, text, f"kill -CONT {holder}")
    if partition.number in partition.topic.repairs:
        text = "its repair was interrupted: repeat it"
        yield Finding(WARNING, partition.name, text, f"eventlog repair {partition.name} --execute")
    if not is_announced(partition.store, partition.topic.name, partition.number, partition.topic.settings()):
        text = (
            "the processes using it still apply older settings of the topic: the process that altered it died before it "
            "told them"
        )
        yield Finding(WARNING, partition.name, text, "eventlog maintain")
    wrong = wrong_indexes(partition.directory)
    if wrong:
        text = f"{len(wrong)} index files are missing or torn, such as {wrong[0].name}: reads are correct, but slow"
        yield Finding(WARNING, partition.name, text, f"eventlog repair {partition.name} --execute")
    latest = latest_timestamp(partition.directory)
    if latest is not None and latest > now_ms() + _FUTURE_MS:
        ahead = (latest - now_ms()) // 3_600_000
        text = f"it has a record with a timestamp {ahead} hours from now: searches by time and retention.ms use it"
        yield Finding(WARNING, partition.name, text)
    offsets = read_partition_offsets(partition.store, partition.topic.name, partition.number)
    if offsets is not None and offsets.durable_offset < offsets.end_offset and _is_long_unflushed(partition):
        count = offsets.end_offset - offsets.durable_offset
        text = f"the last {count} records have not reached the disk for more than a minute: a power cut would lose them"
        yield Finding(WARNING, partition.name, text, "open the store with fsync='interval', or call log.flush()")
    if deep:
        yield from _deep(partition, None if offsets is None else offsets.end_offset)


def _health(partition: _Partition, head: HeadHealth) -> Iterator[Finding]:
    if head.poison and head.poison != DAMAGED:
        text = (
            f"a write or fsync failed ({os.strerror(head.poison)}): it refuses appends until every process has closed it "
            "and one opens it again"
        )
        yield Finding(ERROR, partition.name, text)
    if head.is_of_this_boot and head.poison != DAMAGED:
        return
    report = would_recover(partition.directory, head, partition.topic.settings().number("index.interval.bytes"))
    if report is None:
        yield Finding(WARNING, partition.name, f"{partition.directory} has no segment: opening it creates an empty one")
    elif report.damage is not None:
        damage, is_known = report.damage, head.poison == DAMAGED
        is_foreign = isinstance(damage, UnsupportedFormatError)
        what = "unreadable" if is_foreign else "damaged"
        begin = f"it is {what}" if is_known else f"the next process that opens it will find it {what}"
        rest = f"records before offset {damage.offset} can be read, appends fail"
        text = f"{begin}: {damage.path.name}, byte {damage.position}: {damage.reason}; {rest}"
        yield Finding(ERROR, partition.name, text, None if is_foreign else damage.command)
    elif report.outcome == "truncated":
        text = (
            f"the next process that opens it will cut off a torn tail of {report.truncated_bytes} bytes and keep it in "
            "removed/"
        )
        yield Finding(WARNING, partition.name, text)


def _missing(partition: _Partition) -> Iterator[Finding]:
    """Segments that somebody has taken away, as far as names and lengths tell."""
    may_have_gaps = partition.topic.settings().may_have_gaps
    start_offset = start_of(partition.directory)
    found = missing_segment(partition.directory, start_offset, may_have_gaps=may_have_gaps)
    if found is not None and start_of(partition.directory) != start_offset:  # deleted by retention meanwhile
        found = missing_segment(partition.directory, start_of(partition.directory), may_have_gaps=may_have_gaps)
    if found is not None and not isinstance(found, UnsupportedFormatError):
        yield Finding(ERROR, partition.name, f"{found.path.name}, byte {found.position}: {found.reason}", found.command)
        return
    head = trusted_head(partition.store, partition.topic.name, partition.number)
    if head is not None and not has_its_segments(partition.directory, head):
        text = "the last segment is missing, or shorter than it was"
        yield Finding(ERROR, partition.name, text, f"eventlog repair {partition.name}")


def _state_of(thread: int) -> str:
    """The state of a thread by proc(5): "T" and "t" are stopped."""
    try:
        return Path("/proc", str(thread), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _is_long_unflushed(partition: _Partition) -> bool:
    bases = files.segment_bases(partition.directory)
    return bool(bases) and time.time() - names.segment_file(partition.directory, bases[-1]).stat().st_mtime > _UNFLUSHED_SECONDS


def _deep(partition: _Partition, end_offset: int | None) -> Iterator[Finding]:
    may_have_gaps = partition.topic.settings().may_have_gaps
    start_offset = start_of(partition.directory)
    problems = verify_partition(partition.directory, start_offset, end_offset, may_have_gaps=may_have_gaps).problems
    for problem in problems[:_PROBLEMS_SHOWN]:
        text = f"{problem.path.name}, byte {problem.position}: {problem.reason}"
        yield Finding(ERROR, partition.name, text, f"eventlog repair {partition.name}")
    if len(problems) > _PROBLEMS_SHOWN:
        text = f"and {len(problems) - _PROBLEMS_SHOWN} more problems"
        yield Finding(ERROR, partition.name, text, f"eventlog verify {partition.topic.name}")


def _check_group(store: Path, groups: GroupCatalog, name: str) -> Iterator[Finding]:
    for severity, text, command in check_group(store, groups, name):
        yield Finding(severity, f"group {name}", text, command)
