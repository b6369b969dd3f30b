"""A full disk in other places than an append: topics, partitions, stores, recovery, groups, commands, and each way to flush.

Each scenario runs in a process with a mount namespace of its own, on a small tmpfs that vanishes with it; no root is
needed where users may have namespaces. Were a full disk to show as SIGBUS, that process would die of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import DiskFullError, TopicNotFoundError, TopicPartition
from tests.cli.command_line import CommandLine
from tests.support import heads, stores
from tests.support.processes import Interpreter
from tests.support.stores import TOPIC

_NAMESPACE = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Ur", "-m"]
_DISK_BYTES = 2 * 2**20
_BALLAST_BYTES = 2**20


def _why_not() -> str | None:
    """Why no small disk can be mounted here, if none can."""
    probe = [*_NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/tmp"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True)
    except FileNotFoundError as error:
        return str(error)
    return None if done.returncode == 0 else f"no tmpfs can be mounted: {done.stderr.strip()}"


_REASON = _why_not()
pytestmark = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))


class SmallDisk:
    """A tmpfs, or an ext4 in a file, that the calling process has mounted, with ballast to throw off."""

    def __init__(self, directory: Path, image: Path | None = None) -> None:
        what = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs"] if image is None else ["-o", "loop", image]
        subprocess.run(["mount", *what, directory], check=True)
        self.store = directory / "store"
        self._ballast = directory / "ballast"

    def load(self) -> None:
        self._ballast.write_bytes(bytes(_BALLAST_BYTES))

    def fill(self) -> None:
        """Use up every last block."""
        with open(self._ballast, "ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def make_room(self) -> None:
        self._ballast.unlink()


def _run(scenario: Callable[..., None], directory: Path, *arguments: Any) -> None:
    with Interpreter(_inside, scenario, directory, arguments, prefix=_NAMESPACE) as process:
        assert process.receive() == "done"
        process.join()
        assert process.exit_status == 0


def _inside(connection: Connection, scenario: Callable[..., None], directory: Path, arguments: tuple[Any, ...]) -> None:
    scenario(SmallDisk(directory), *arguments)
    connection.send("done")


def _fill_by_appending(disk: SmallDisk, fsync: str, size_bytes: int) -> None:
    stores.create(disk.store)
    appended: list[bytes] = []
    with eventlog.open(disk.store, fsync=fsync, fsync_interval_ms=5) as log:
        partition = stores.open_partition(log)
        disk.load()
        with pytest.raises(DiskFullError, match="nothing was written"):
            while True:
                value = b"%d" % len(appended) * (size_bytes // 8)
                assert partition.append(value) == len(appended)
                appended.append(value)
        assert partition.end_offset == len(appended) > 0
        partition.flush()
        assert partition.durable_offset == len(appended)
        disk.make_room()
        assert partition.append(b"there is room") == len(appended)
    with eventlog.open(disk.store) as log:
        assert list(stores.open_partition(log).values()) == [*appended, b"there is room"]
        assert [report.problems for report in log.verify()] == [[]]


@pytest.mark.parametrize("size_bytes", [100, 5_000, 300_000])
@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_every_way_to_flush_keeps_what_was_acknowledged(tmp_path: Path, fsync: str, size_bytes: int) -> None:
    _run(_fill_by_appending, tmp_path, fsync, size_bytes)


def _create_without_room(disk: SmallDisk) -> None:
    stores.create(disk.store, partitions=3)
    with eventlog.open(disk.store) as log, eventlog.open(disk.store) as other:
        stores.open_partition(log, 0).append(b"before")
        disk.fill()
        assert stores.open_partition(other, 0).read(0)[0].value == b"before"
        with pytest.raises(DiskFullError):
            stores.open_partition(log, 1).append(b"v")
        with pytest.raises(DiskFullError):
            log.create_topic("orders")
        with pytest.raises(TopicNotFoundError):
            log.topic("orders")
        disk.make_room()
        assert stores.open_partition(log, 1).append(b"v") == 0
        assert stores.open_partition(other, 2).append(b"v") == 0
        log.create_topic("orders")
        assert log.topics() == ["events", "orders"]


def test_partitions_and_topics_that_find_no_room_are_made_once_there_is(tmp_path: Path) -> None:
    _run(_create_without_room, tmp_path)


def _make_store_without_room(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(DiskFullError):
        eventlog.open(disk.store)
    disk.make_room()
    stores.create(disk.store)
    with eventlog.open(disk.store) as log:
        assert stores.open_partition(log).append(b"v") == 0


def test_a_store_that_finds_no_room_is_made_once_there_is(tmp_path: Path) -> None:
    _run(_make_store_without_room, tmp_path)


def _read_without_room(disk: SmallDisk) -> None:
    stores.create(disk.store)
    with eventlog.open(disk.store) as log:
        stores.open_partition(log).append_many([b"a", b"b"])
    heads.simulate_reboot(stores.head_file(disk.store))
    disk.fill()
    with eventlog.open(disk.store) as log:
        assert list(stores.open_partition(log).values()) == [b"a", b"b"]


def test_a_full_disk_can_be_read_even_after_a_reboot(tmp_path: Path) -> None:
    _run(_read_without_room, tmp_path)


def _recover_without_room(disk: SmallDisk) -> None:
    stores.create(disk.store)
    with eventlog.open(disk.store) as log:
        partition = stores.open_partition(log)
        partition.append(b"kept")
        partition.append(b"t" * 20_000)
    heads.simulate_reboot(stores.head_file(disk.store))
    heads.forget_durable_position(stores.head_file(disk.store))
    segment = stores.segments(disk.store)[0]
    torn = segment.read_bytes()[:-1]
    segment.write_bytes(torn)
    disk.fill()
    with eventlog.open(disk.store) as log, pytest.raises(DiskFullError):
        stores.open_partition(log)
    assert segment.read_bytes() == torn
    disk.make_room()
    with eventlog.open(disk.store) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.outcome == "truncated"
        assert list(partition.values()) == [b"kept"]


def test_a_torn_tail_that_cannot_be_kept_aside_is_not_cut_off(tmp_path: Path) -> None:
    _run(_recover_without_room, tmp_path)


def _join_without_room(disk: SmallDisk, is_known: bool) -> None:
    stores.create(disk.store)
    with eventlog.open(disk.store) as log:
        stores.open_partition(log).append_many([b"a", b"b"])
        if is_known:
            log.create_group("readers")
    (disk.store / "shared" / "readers.acks").unlink(missing_ok=True)
    with eventlog.open(disk.store) as log, eventlog.open(disk.store) as other:
        assert stores.open_partition(log).end_offset == 2
        disk.fill()
        with log.consumer(TOPIC, group="readers") as consumer:
            for _ in range(2):
                with pytest.raises(DiskFullError):
                    consumer.poll(0)
            assert [record.value for record in other.consumer(TOPIC).poll(0)] == [b"a", b"b"]
            disk.make_room()
            assert [record.value for record in consumer.poll(0)] == [b"a", b"b"]
            consumer.commit(sync=True)
        assert other.group("readers").lag() == {TopicPartition(TOPIC, 0): 0}


@pytest.mark.parametrize("is_known", [False, True], ids=["in the catalog", "for the group's file"])
def test_a_consumer_that_finds_no_room_joins_once_there_is(tmp_path: Path, is_known: bool) -> None:
    _run(_join_without_room, tmp_path, is_known)


def _commit_without_room(disk: SmallDisk) -> None:
    stores.create(disk.store)
    with eventlog.open(disk.store) as log:
        stores.open_partition(log).append_many([b"a", b"b"])
        with log.consumer(TOPIC, group="readers") as consumer:
            consumer.poll(0, 1)
            consumer.commit(sync=True)
            disk.fill()
            consumer.poll(0, 1)
            consumer.commit()  # which needs no room
            with suppress(DiskFullError):  # LMDB may have pages that it can use again
                consumer.commit(sync=True)
            with pytest.raises(DiskFullError):
                for number in range(1000):
                    log.create_topic(f"topic{number}")
            assert log.group("readers").committed() == {TopicPartition(TOPIC, 0): 2}
            disk.make_room()
            consumer.commit(sync=True)
            log.create_group("last")
    with eventlog.open(disk.store) as log:
        assert log.group("readers").committed() == {TopicPartition(TOPIC, 0): 2}


def test_a_commit_is_kept_where_the_catalog_finds_no_room(tmp_path: Path) -> None:
    _run(_commit_without_room, tmp_path)


def _keep_house_without_room(disk: SmallDisk) -> None:
    stores.create(disk.store, segment_bytes=20_000, cleanup_policy="compact")
    with eventlog.open(disk.store) as log:
        partition = stores.open_partition(log)
        for count in range(100):
            partition.append(b"%d" % count * 500, key=b"%d" % (count % 60))
        before = {record.key: record for record in partition.records()}
        disk.fill()
        report = log.maintain(compact_all=True)
        assert [(subject, "No space left" in text) for subject, text in report.failures] == [(f"{TOPIC}/0", True)]
        assert {record.key: record for record in partition.records()} == before
        disk.make_room()
        assert not log.maintain(compact_all=True).failures
        assert {record.key: record for record in partition.records()} == before
        assert [found.problems for found in log.verify()] == [[]]


def test_housekeeping_says_that_there_is_no_room_and_goes_on_once_there_is(tmp_path: Path) -> None:
    _run(_keep_house_without_room, tmp_path)


def _command_without_room(disk: SmallDisk) -> None:
    cli = CommandLine(disk.store)
    stores.create(disk.store)
    assert cli.output("produce", TOPIC, stdin=b"a\n")
    disk.load()
    disk.fill()
    assert "no space" in cli.error("produce", TOPIC, stdin=b"v" * 200_000 + b"\n").lower()
    assert "no space" in cli.error("topics", "create", "orders").lower()
    backup = disk.store.with_name("backup")
    assert "no space" in cli.error("backup", backup).lower()
    assert not backup.exists()
    assert any("bytes are free" in found.text and found.severity == "error" for found in eventlog.diagnose(disk.store))
    assert "bytes are free" in cli.run("doctor").stdout.decode()
    disk.make_room()
    assert cli.output("produce", TOPIC, stdin=b"b\n")
    assert cli.output("consume", TOPIC, "--json")
    assert cli.output("backup", backup)


def test_commands_say_in_one_line_that_there_is_no_room(tmp_path: Path) -> None:
    _run(_command_without_room, tmp_path)


@pytest.mark.root
@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_every_way_to_flush_keeps_what_was_acknowledged_on_ext4(tmp_path: Path, fsync: str) -> None:
    """A file system that has blocks, a journal and room that is promised late."""
    if os.getuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a file, and it takes mkfs.ext4")
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 8 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    directory = tmp_path / "disk"
    directory.mkdir()
    if subprocess.run(["unshare", "-m", "mount", "-o", "loop", image, directory], capture_output=True).returncode != 0:
        pytest.skip("there are no loop devices here")
    with Interpreter(_on_ext4, image, directory, fsync, prefix=_NAMESPACE) as process:
        assert process.receive() == "done"
        process.join()


def _on_ext4(connection: Connection, image: Path, directory: Path, fsync: str) -> None:
    _fill_by_appending(SmallDisk(directory, image), fsync, 5000)
    connection.send("done")
