"""What processes do to stores, one thing a workload: `prepare` on a disk that is well, `begin` likewise in the process under
test, `act` on one that is not, and `look` once it is well again, in a process of its own."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import eventlog
from eventlog import BackupError, StoreOpenError, TopicPartition
from tests.support import heads, stores
from torture.campaigns.disks.ledger import Ledger, Offsets, check_store
from torture.campaigns.disks.stage import Stage

Step = Callable[[Stage], object]
TOPIC = "events"
PLACE = TopicPartition(TOPIC, 0)


def _nothing(stage: Stage) -> None:
    """Nothing to do."""


@dataclass(frozen=True)
class Workload:
    """`begin` and `act` run in the same process; between them the disk falls ill. `goes_on` says that the store is open behind
    `act`, and is to take records once the disk is well."""

    name: str
    prepare: Step
    act: Step
    begin: Step = _nothing
    look: Callable[[Stage, Ledger], list[str]] = lambda stage, ledger: check_store(stage.store, ledger)


def _fill(stage: Stage, **config: object) -> None:
    stage.open()
    stage.create_topic(TOPIC, **config)  # type: ignore[arg-type]
    for _ in range(6):
        stage.append(TOPIC, 4, 300, key=b"k%d" % (stage._number % 3))
    stage.close()


def _fill_segments(stage: Stage) -> None:
    _fill(stage, segment_bytes=2048, index_interval_bytes=256)


def _open(stage: Stage) -> None:
    stage.open()
    stage.append(TOPIC)


def _open_never(stage: Stage) -> None:
    stage.open(fsync="never")
    stage.append(TOPIC)


def _create_store(stage: Stage) -> None:
    if stage.open():
        stage.create_topic(TOPIC)
        stage.append(TOPIC)
        stage.create_topic("others", 2)
        stage.append("others", number=1)


def _reopen(stage: Stage) -> None:
    if stage.open():
        stage.append(TOPIC)
        stage.append(TOPIC, 3)
    stage.close()


def _append(stage: Stage) -> None:
    for size_bytes in (10, 100, 3000):
        stage.append(TOPIC, 1, size_bytes)
        stage.append(TOPIC, 3, size_bytes, key=b"key")
    stage.append(TOPIC, 1, 70_000)  # too large for a copy into the map
    stage.append(TOPIC)
    stage.attempt("flush", stage.log.flush)


def _append_always(stage: Stage) -> None:
    for _ in range(4):
        stage.append(TOPIC)
        stage.append(TOPIC, 3)


def _roll(stage: Stage) -> None:
    for _ in range(8):
        stage.append(TOPIC, 2, 400)


def _tear(stage: Stage) -> None:
    _fill(stage)
    segment = stores.segments(stage.store)[-1]
    heads.simulate_reboot(stores.head_file(stage.store))
    with open(segment, "ab") as file:
        file.write(segment.read_bytes()[:100] + b"torn" * 1000)


def _produce(stage: Stage) -> None:
    producer = stage.keep(stage.log.producer(linger_ms=100_000, batch_bytes=2000))
    known = stage.ledger.of(TOPIC, 0)
    values = [stage.value(200) for _ in range(12)]
    receipts = []
    known.doubtful.update(values)
    for value in values:
        if stage.attempt("send", partial(producer.send, TOPIC, value)):
            receipts.append((stage.results["send"], value))
    stage.attempt("flush the producer", producer.flush)
    for receipt, value in receipts:
        if stage.attempt("receipt", partial(getattr, receipt, "offset")):
            known.acknowledged[stage.results["receipt"]] = None, value
    stage.attempt("close the producer", producer.close)


def _join(stage: Stage) -> None:
    stage.append(TOPIC)
    if not stage.attempt("consume", lambda: stage.log.consumer(TOPIC, group="readers")):
        return
    consumer = stage.keep(stage.results["consume"])
    for sync in (False, True, True):
        stage.append(TOPIC)
        if stage.attempt("poll", lambda: consumer.poll(0, 5)) and stage.results["poll"]:
            stage.commit(consumer, TOPIC, sync=sync)
    stage.attempt("close the consumer", consumer.close)


def _with_group(stage: Stage) -> None:
    _fill(stage)
    stage.open()
    for group in ("readers", "others"):
        consumer = stage.log.consumer(TOPIC, group=group)
        consumer.poll(0, 5)
        stage.commit(consumer, TOPIC, sync=True)
        consumer.close()
    stage.close()


def _commit_and_leave(stage: Stage) -> None:
    """What was committed is known to all, and not yet on disk."""
    _open(stage)
    for group in ("readers", "others"):
        with stage.log.consumer(group=group) as consumer:
            consumer.assign([PLACE])
            consumer.poll(0, 3)
            consumer.commit()
            stage.ledger.groups[group] = [{PLACE: consumer.position(PLACE)}]
    stage.ledger.committed.clear()


def _move_groups(stage: Stage) -> None:
    readers, others = stage.ledger.groups["readers"], stage.ledger.groups["others"]
    before = readers[0]
    _move(stage, "reset", readers, {PLACE: 9}, lambda: stage.log.group("readers").reset({PLACE: 9}))
    stage.attempt("describe groups", stage.log.describe_groups)
    _move(stage, "undo", readers, before, lambda: stage.log.group("readers").undo_reset())
    stage.attempt("history", lambda: stage.log.group("readers").history())
    _move(stage, "delete offsets", others, {}, lambda: stage.log.group("others").delete_offsets([PLACE]))
    _move(stage, "delete group", others, None, lambda: stage.log.group("others").delete())
    stage.attempt("make group", lambda: stage.log.create_group("new"))


def _move(stage: Stage, what: str, possible: list[Offsets | None], after: Offsets | None, call: Callable[[], object]) -> None:
    """Move a group's offsets: where it fails, all of it may have been done, or nothing, but not a part."""
    if stage.attempt(what, call):
        possible.clear()
    possible.append(after)


def _maintain(stage: Stage) -> None:
    stage.ledger.of(TOPIC, 0).start_max = 16
    stage.attempt("delete records", lambda: stage.log.partition(TOPIC, 0).delete_records(5))
    for _ in range(2):
        if stage.attempt("maintain", stage.log.maintain):
            _judge_report(stage)
    stage.append(TOPIC)


def _retained(stage: Stage) -> None:
    _fill(stage, segment_bytes=2048, retention_bytes=2500)


def _compacted(stage: Stage) -> None:
    _fill(stage, segment_bytes=2048, cleanup_policy="compact")


def _compact(stage: Stage) -> None:
    for _ in range(2):
        if stage.attempt("compact", lambda: stage.log.maintain(compact_all=True)):
            _judge_report(stage)
    stage.append(TOPIC, key=b"k1")


def _judge_report(stage: Stage) -> None:
    report = stage.results.get("compact") or stage.results["maintain"]
    if report.failures and stage.fault is None:
        stage.problems.append(f"housekeeping failed on a disk that is well: {report.failures}")
    stage.problems.extend(f"housekeeping does not say what failed: {each}" for each in report.failures if not all(each))


def _alter(stage: Stage) -> None:
    stage.attempt("alter", lambda: stage.log.alter_topic(TOPIC, partitions=2, config={"retention.ms": 10**12}))
    stage.append(TOPIC, number=1) if stage.results.get("alter") else None
    stage.append(TOPIC)
    stage.ledger.topics["gone"] = None
    if stage.attempt("delete", lambda: stage.log.delete_topic("gone")):
        stage.ledger.topics["gone"] = False
    if stage.attempt("make it anew", lambda: stage.log.create_topic("gone")):
        stage.ledger.topics["gone"] = True
    stage.ledger.partitions.pop(TopicPartition("gone", 0), None)


def _alter_and_compact(stage: Stage) -> None:
    """A topic becomes compacted while it is in use: whoever reads it has to know that it has gaps before it has any."""
    stage.ledger.of(TOPIC, 0).is_compacted = True
    stage.attempt("alter to compact", lambda: stage.log.alter_topic(TOPIC, config={"cleanup.policy": "compact"}))
    stage.append(TOPIC, key=b"k1")
    if stage.attempt("compact", lambda: stage.log.maintain(compact_all=True)):
        _judge_report(stage)
    partition = stage.partition(TOPIC)
    if partition is not None:
        stage.attempt("read", lambda: list(partition.values()))


def _with_two_topics(stage: Stage) -> None:
    _fill(stage)
    stage.open()
    stage.create_topic("gone")
    stage.append("gone")
    stage.close()


def _read(stage: Stage) -> None:
    partition = stage.partition(TOPIC)
    if partition is None:
        return
    known = stage.ledger.of(TOPIC, 0).acknowledged
    for what, read in {
        "values": lambda: dict(enumerate(partition.values())),
        "read": lambda: {record.offset: record.value for offset in (3, 11, 20) for record in partition.read(offset, 3)},
        "search": lambda: {record.offset: record.value for record in partition.search(b"7 ")},
    }.items():
        if stage.attempt(what, read):
            wrong = {offset: value for offset, value in stage.results[what].items() if known[offset][1] != value}
            stage.problems.extend(f"{what} returned something else at offset {offset}" for offset in wrong)
            if what == "values" and len(stage.results[what]) < len(known):
                stage.problems.append("values ended before the end, without an error")
    stage.attempt("offset for time", lambda: partition.offset_for_time(1))
    stage.attempt("bytes", lambda: partition.bytes_from(7))


def _view(stage: Stage) -> None:
    for what, view in {
        "offsets": lambda: stage.log.offsets(TOPIC),
        "sizes": lambda: stage.log.sizes(TOPIC),
        "topic": lambda: stage.log.describe_topic(TOPIC),
        "metrics": stage.log.metrics,
        "activity": stage.log.activity,
        "lags": stage.log.lags,
        "progress": lambda: stage.log.group("readers").progress(),
        "verify": stage.log.verify,
        "diagnose": lambda: eventlog.diagnose(stage.store, deep=True),
    }.items():
        stage.attempt(what, view)


def _back_up(stage: Stage) -> None:
    stage.ledger.earlier = copy.deepcopy(stage.ledger)
    for name, link in (("linked", True), ("copied", False)):
        destination = stage.directory / name
        stage.attempt(name, partial(stage.log.backup, destination, link=link))


def _look_at_backups(stage: Stage, ledger: Ledger) -> list[str]:
    problems = check_store(stage.store, ledger)
    for name in ("linked", "copied"):
        try:
            eventlog.restore(stage.directory / name, stage.directory / f"{name}-store")
        except BackupError as error:
            if name in stage.results:
                problems.append(f"a backup that was taken cannot be restored: {error}")
        else:
            problems += check_store(stage.directory / f"{name}-store", copy.deepcopy(ledger.earlier or ledger))
    return problems


def _backed_up(stage: Stage) -> None:
    _with_group(stage)
    with eventlog.open(stage.store) as log:
        log.backup(stage.directory / "backup")
    shutil.rmtree(stage.store)


def _restore(stage: Stage) -> None:
    stage.attempt("verify the backup", lambda: eventlog.verify_backup(stage.directory / "backup"))
    stage.attempt("restore", lambda: eventlog.restore(stage.directory / "backup", stage.store))


def _look_at_restored(stage: Stage, ledger: Ledger) -> list[str]:
    try:
        eventlog.open(stage.store, create=False).close()
    except StoreOpenError as error:
        problems = [f"a backup that was restored cannot be opened: {error}"] if "restore" in stage.results else []
        if stage.store.exists():
            shutil.rmtree(stage.store)
        eventlog.restore(stage.directory / "backup", stage.store)
        return problems + check_store(stage.store, ledger)
    return check_store(stage.store, ledger)


def _damaged(stage: Stage) -> None:
    _fill_segments(stage)
    segment = stores.segments(stage.store)[1]
    data = bytearray(segment.read_bytes())
    data[70] ^= 1  # inside the first batch of the segment: its four records go
    segment.write_bytes(data)
    lost = int(segment.stem)
    known = stage.ledger.of(TOPIC, 0)
    for offset in range(lost, lost + 4):
        del known.acknowledged[offset]


def _repair(stage: Stage) -> None:
    stage.attempt("plan", lambda: stage.log.repair(TOPIC, 0))
    stage.attempt("repair", lambda: stage.log.repair(TOPIC, 0, execute=True))


def _look_at_repaired(stage: Stage, ledger: Ledger) -> list[str]:
    with eventlog.open(stage.store) as log:
        plan = log.repair(TOPIC, 0, execute=True)
    problems = ["a repair that came to its end left something to do"] if "repair" in stage.results and plan.was_executed else []
    return problems + check_store(stage.store, ledger)


def _work_behind(stage: Stage) -> None:
    """The flusher, the persister, the watcher and the housekeeper at work, each every 2 ms."""
    partition = stage.partition(TOPIC)
    consumer = stage.keep(stage.log.consumer(TOPIC, group="readers"))
    for _ in range(5):
        if stage.append(TOPIC) and partition is not None:
            stage.attempt("wait", lambda: partition.wait(partition.end_offset - 1, timeout=0.02, durable=True))
        if stage.attempt("poll", lambda: consumer.poll(0, 50)) and stage.results["poll"]:
            stage.commit(consumer, TOPIC, sync=False)


def _open_busy(stage: Stage) -> None:
    stage.open(fsync_interval_ms=2)
    stage.append(TOPIC)
    stage.log.start_maintenance(2)
    stage.keep(stage.log.consumer(TOPIC, group="others")).poll(0, 1)


WORKLOADS = (
    Workload("create a store", _nothing, _create_store),
    Workload("open and close", _fill, _reopen),
    Workload("recover", _tear, _reopen),
    Workload("append", _fill, _append, _open),
    Workload("append always", _fill, _append_always, lambda stage: (stage.open(fsync="always"), stage.append(TOPIC))),
    Workload("roll", _fill_segments, _roll, _open_never),
    Workload("produce", _fill, _produce, _open),
    Workload("join and commit", _fill, _join, _open),
    Workload("move groups", _with_group, _move_groups, _commit_and_leave),
    Workload("retention", _retained, _maintain, _open),
    Workload("compaction", _compacted, _compact, lambda stage: stage.open()),
    Workload("alter and delete", _with_two_topics, _alter, _open),
    Workload("alter and compact", _fill_segments, _alter_and_compact, lambda stage: stage.open()),
    Workload("read", _fill_segments, _read, _open_never),
    Workload("views", _with_group, _view, _open),
    Workload("backup", _with_group, _back_up, _open, _look_at_backups),
    Workload("restore", _backed_up, _restore, look=_look_at_restored),
    Workload("repair", _damaged, _repair, lambda stage: stage.open(), _look_at_repaired),
    Workload("threads", _with_group, _work_behind, _open_busy),
)
