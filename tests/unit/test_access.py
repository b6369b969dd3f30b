"""Who gets at the files of a store: modes, owners, symbolic links, and names that are paths."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, EventLogError, InvalidArgumentError, StoreOpenError, TopicPartition
from tests.cli.command_line import CommandLine
from tests.support import snapshots, stores

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets the umask, which is set back afterwards."""
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


@pytest.fixture
def reachable(tmp_path: Path) -> Path:
    """A directory that other users can get to."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return tmp_path


def use(path: Path) -> None:
    """Everything that makes files: appends over several segments, a group, housekeeping."""
    with eventlog.open(path) as log:
        if stores.TOPIC not in log.topics():
            log.create_topic(stores.TOPIC, 1, {"segment.bytes": 1024, "retention.bytes": 3000})
        for _ in range(40):
            stores.open_partition(log).append(b"x" * 200)
        log.maintain()
        with log.consumer(stores.TOPIC, group="group", auto_offset_reset="earliest") as consumer:
            consumer.poll(max_records=1)
            consumer.commit(sync=True)


def modes(path: Path) -> tuple[set[int], set[int]]:
    """The modes of the directories and of the files of a store."""
    everything = [path, *path.rglob("*")]
    directories = {each.stat().st_mode & 0o7777 for each in everything if each.is_dir()}
    return directories, {each.stat().st_mode & 0o7777 for each in everything if each.is_file()}


def as_nobody(work: Callable[[], object]) -> str:
    """What `work` raises in a child that is an ordinary user, or ""."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        text = ""
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write_end, text.encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


def test_a_store_is_private_whatever_the_umask_allows(tmp_path: Path, umask: Callable[[int], int]) -> None:
    for mask in (0o022, 0o000, 0o077):
        umask(mask)
        path = tmp_path / f"store-{mask}"
        use(path)
        assert modes(path) == ({0o700}, {0o600})


def test_what_is_made_later_goes_by_the_mode_that_the_owner_gave_the_store(tmp_path: Path, umask: Callable[[int], int]) -> None:
    path = tmp_path / "store"
    use(path)
    for each in [path, *path.rglob("*")]:
        each.chmod(0o2770 if each.is_dir() else 0o660)
    umask(0o077)
    use(path)
    with eventlog.open(path) as log:
        log.create_topic("later")
        log.partition("later", 0).append(b"x")
    directories, files = modes(path)
    assert (directories, files) == ({0o2770}, {0o660})


@needs_root
def test_a_store_that_a_group_shares_is_used_by_several_users(reachable: Path) -> None:
    path = reachable / "store"
    use(path)
    for each in [path, *path.rglob("*")]:
        os.chown(each, -1, NOBODY)
        each.chmod(0o2770 if each.is_dir() else 0o660)
    assert as_nobody(lambda: use(path)) == ""
    use(path)  # also what the other user has made
    assert {each.stat().st_gid for each in path.rglob("*")} == {NOBODY}


@needs_root
def test_a_store_of_another_user_is_refused_also_for_root(reachable: Path) -> None:
    path = reachable / "store"
    use(path)
    assert "belongs to user 0, and this process runs as user 65534" in as_nobody(lambda: eventlog.open(path))
    for each in [path, *path.rglob("*")]:
        os.chown(each, NOBODY, NOBODY)
    before = snapshots.content(path)
    with pytest.raises(StoreOpenError, match="belongs to user 65534, and this process runs as user 0"):
        eventlog.open(path)
    assert snapshots.content(path) == before
    assert as_nobody(lambda: use(path)) == ""


@needs_root
@pytest.mark.parametrize("part", ["", "logs", "shared", "meta", "logs/events-0"])
def test_a_directory_that_may_not_be_written_is_named(reachable: Path, part: str) -> None:
    path = reachable / "store"
    use(path)
    for each in [path, *path.rglob("*")]:
        os.chown(each, NOBODY, NOBODY)
    (path / part).chmod(0o500)
    told = as_nobody(lambda: use(path))
    if part:
        assert told.split(":")[0] in ("StoreOpenError", "EventLogError", "DiskFullError") and str(path / part) in told
    else:
        assert "not readable and writable" in told


def test_a_store_of_a_newer_version_is_refused_with_both_versions(store: Path) -> None:
    (store / "store.json").write_text('{"format": "eventlog", "version": 7}')
    with pytest.raises(StoreOpenError, match=r"format 7 by a newer eventlog; this one knows 1"):
        eventlog.open(store)


# --- symbolic links ------------------------------------------------------------------------------------------


def moved_out(path: Path, outside: Path) -> Path:
    """Put something of a store elsewhere, with a link in its place."""
    target = outside / path.name
    outside.mkdir(exist_ok=True)
    shutil.move(path, target)
    path.symlink_to(target)
    return target


PARTS = ["logs", "shared", "meta", "logs/events-0", "meta/data.mdb", "meta/lock.mdb"]
PARTS += [f"shared/{name}" for name in ("signals", "group.acks", "maintenance", "members", "events-0.head")]


@pytest.mark.parametrize("part", PARTS)
def test_a_link_in_the_place_of_something_of_a_store_is_not_followed(tmp_path: Path, part: str) -> None:
    path, outside = tmp_path / "store", tmp_path / "outside"
    use(path)
    moved_out(path / part, outside)
    before = snapshots.content(outside)
    with pytest.raises(EventLogError, match="link"):
        use(path)
    assert snapshots.content(outside) == before


@pytest.mark.parametrize("suffix", [".log", ".index", ".timeindex"])
def test_a_link_in_the_place_of_a_segments_file_is_not_written_to(tmp_path: Path, suffix: str) -> None:
    path, outside = tmp_path / "store", tmp_path / "outside"
    use(path)
    moved_out(stores.segments(path)[-1].with_suffix(suffix), outside)
    before = snapshots.content(outside)
    with pytest.raises(EventLogError, match="link"), eventlog.open(path) as log:
        stores.open_partition(log).append(b"x")
    assert snapshots.content(outside) == before


def test_of_a_link_only_the_link_is_deleted(tmp_path: Path) -> None:
    path, outside = tmp_path / "store", tmp_path / "outside"
    use(path)
    moved_out(stores.partition_directory(path), outside)
    before = snapshots.content(outside)
    with eventlog.open(path) as log:
        log.delete_topic(stores.TOPIC)
        assert log.topics() == []
    assert snapshots.content(outside) == before and not list((path / "logs").iterdir())


def test_a_link_to_a_partition_is_not_taken_for_a_brokers_topic(tmp_path: Path) -> None:
    path, outside = tmp_path / "store", tmp_path / "outside"
    use(path)
    outside.mkdir()
    (path / "logs" / "alien-0").symlink_to(outside)
    with eventlog.open(path) as log:
        assert log.topics() == [stores.TOPIC]
    assert not list(outside.iterdir())


# --- names ---------------------------------------------------------------------------------------------------

TRICKS = ["", ".", "..", "a/b", "../events", "/etc", "a\0b", "x" * 250, "tōpic", "a b", "a\n", "-" + "x" * 249, "a\\b", "~"]


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_that_could_be_a_path_is_refused_before_anything_changes(store: Path, log: EventLog, name: str) -> None:
    stores.open_partition(log)
    before = snapshots.content(store)
    place = TopicPartition(name, 0)
    for call in (
        lambda: log.create_topic(name),
        lambda: log.delete_topic(name),
        lambda: log.alter_topic(name, partitions=2),
        lambda: log.partition(name, 0),
        lambda: log.create_group(name),
        lambda: log.consumer(stores.TOPIC, group=name),
        lambda: log.consumer(stores.TOPIC, group="group", instance_id=name),
        lambda: log.repair(name, 0),
        lambda: log.create_group("group").reset({place: 0}),
    )[:8]:
        with pytest.raises(InvalidArgumentError):
            call()
    assert snapshots.content(store) == before


@pytest.mark.parametrize("name", [name for name in TRICKS if "\0" not in name])
def test_the_command_line_refuses_such_a_name_in_one_line(store: Path, name: str) -> None:
    before = snapshots.content(store)
    for command in (["topics", "create", "--", name], ["groups", "delete", "--execute", "--", name]):
        done = CommandLine(store).run(*command)
        assert done.returncode != 0 and done.stdout == b"" and b"Traceback" not in done.stderr
    assert snapshots.content(store) == before


def test_the_longest_name_works_everywhere(tmp_path: Path) -> None:
    name = "x" * 249
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(name, 3, {"segment.bytes": 1024})
        for _ in range(3):
            log.partition(name, 2).append(b"y" * 500, timestamp=1)
        log.maintain()
        with log.consumer(name, group=name, auto_offset_reset="earliest") as consumer:
            consumer.poll(max_records=10)
            consumer.commit()
        log.delete_topic(name)
        assert log.topics() == []
