"""Whoever comes to damage hears of it, and where; and where the log ends does not depend on who found it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
import eventlog.aio
from eventlog import BackupError, CorruptLogError, EventLog, Partition, TopicPartition
from tests.support import heads, stores

_GOOD = 20
_END = 40
_PLACE = TopicPartition(stores.TOPIC, 0)


def _polled(log: EventLog, partition: Partition) -> None:
    with log.consumer(stores.TOPIC, group="pollers", auto_offset_reset="earliest") as consumer:
        assert len(consumer.poll(timeout=0)) == _GOOD
        consumer.poll(timeout=0)


def _awaited(log: EventLog, partition: Partition) -> None:
    async def read() -> None:
        async with eventlog.aio.open(log.path) as other:
            await other.partition(stores.TOPIC, 0).read(_GOOD)

    asyncio.run(read())


_READERS: dict[str, Callable[[EventLog, Partition], Any]] = {
    "read": lambda log, partition: partition.read(_GOOD),
    "read before it": lambda log, partition: partition.read(0),
    "values": lambda log, partition: list(partition.values()),
    "records": lambda log, partition: list(partition.records()),
    "columns": lambda log, partition: list(partition.columns()),
    "search": lambda log, partition: list(partition.search(b"nowhere")),
    "offset_for_time": lambda log, partition: partition.offset_for_time(1000 + _GOOD),
    "bytes_from": lambda log, partition: partition.bytes_from(_GOOD),
    "poll": _polled,
    "aio": _awaited,
}


def _filled(store: Path, padding: int = 0, **config: Any) -> None:
    stores.create(store, **config)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number in range(_END):
            partition.append(b"value %02d" % number + b"." * padding, timestamp=1000 + number)
        log.create_group("readers")
        log.group("readers").reset({_PLACE: 10})


def _flip(store: Path) -> None:
    """A bit of the batch that begins at offset `_GOOD`."""
    segment = stores.segments(store)[0]
    data = bytearray(segment.read_bytes())
    data[data.index(b"value %02d" % _GOOD)] ^= 1
    segment.write_bytes(data)


def _cut(store: Path) -> None:
    """All from there on."""
    segment = stores.segments(store)[0]
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 2])


def _forget(store: Path) -> None:
    """What is known of what was on disk."""
    stores.head_file(store).unlink()


_DAMAGES: dict[str, list[Callable[[Path], None]]] = {
    "found by readers": [_flip],
    "found at open after a reboot": [_flip, lambda store: heads.simulate_reboot(stores.head_file(store))],
    "found at open of a copy": [_flip, _forget],
    "the segment was cut": [_cut],
    "the segment was cut before a reboot": [_cut, lambda store: heads.simulate_reboot(stores.head_file(store))],
}


@pytest.fixture(params=_DAMAGES.values(), ids=_DAMAGES)
def damaged(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A store whose partition cannot be read from offset `_GOOD` on."""
    store = tmp_path / "store"
    _filled(store)
    for damage in request.param:
        damage(store)
    return store


@pytest.mark.parametrize("reader", _READERS.values(), ids=_READERS)
def test_every_reader_hears_of_damage_with_partition_offset_and_the_command_that_helps(
    damaged: Path, reader: Callable[[EventLog, Partition], Any]
) -> None:
    with eventlog.open(damaged) as log, pytest.raises(CorruptLogError) as raised:
        reader(log, stores.open_partition(log))
    error = raised.value
    assert (error.topic, error.partition, error.offset) == (stores.TOPIC, 0, _GOOD)
    assert error.command == "eventlog repair events/0" and error.command in str(error)


def test_the_end_stays_where_it_was_for_whoever_opens_the_partition(damaged: Path) -> None:
    for _ in range(2):
        with eventlog.open(damaged) as log, eventlog.open(damaged) as other:
            for each in (log, other):
                partition = stores.open_partition(each)
                assert (partition.start_offset, partition.end_offset) == (0, _END)
                assert each.offsets(stores.TOPIC)[0].end_offset == _END
                assert each.group("readers").lag() == {_PLACE: _END - 10}
                assert len(partition.read(0, _GOOD)) == _GOOD
                with pytest.raises(CorruptLogError):
                    partition.read(_END - 1, 1) if partition.recovery.damage is not None else partition.read(_GOOD)


def test_verify_doctor_repair_and_backup_say_so(damaged: Path, tmp_path: Path) -> None:
    with eventlog.open(damaged) as log:
        stores.open_partition(log)
        assert log.verify()[0].problems
        if stores.open_partition(log).recovery.damage is not None:
            with pytest.raises(BackupError, match="eventlog repair events/0"):
                log.backup(tmp_path / "backup")
    findings = [finding for finding in eventlog.diagnose(damaged, deep=True) if finding.severity == "error"]
    assert findings and findings[0].command == "eventlog repair events/0"
    with eventlog.open(damaged) as log:
        assert any(_GOOD in lost for lost in log.repair(stores.TOPIC, 0).lost)
        done = log.repair(stores.TOPIC, 0, execute=True)
        assert done.end_offset == _END
        partition = stores.open_partition(log)
        assert _GOOD not in [record.offset for record in partition.records()]
        assert partition.append(b"goes on") == _END
        assert not log.verify()[0].problems
    assert not [finding for finding in eventlog.diagnose(damaged, deep=True) if finding.severity == "error"]


def test_a_wait_for_what_cannot_come_any_more_ends_with_the_damage(tmp_path: Path) -> None:
    _filled(tmp_path / "store")
    _flip(tmp_path / "store")
    _forget(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        partition = stores.open_partition(log)
        assert partition.wait(_END - 1, timeout=0)
        with pytest.raises(CorruptLogError):
            partition.wait(_END)


_GONE = {"first": slice(0, 2), "middle": slice(2, 3), "last": slice(-1, None), "all": slice(None)}


@pytest.mark.parametrize("gone", _GONE.values(), ids=_GONE)
@pytest.mark.parametrize("is_reboot", [False, True], ids=["reopened", "rebooted"])
def test_segments_that_were_taken_away_are_missed_by_everybody(tmp_path: Path, gone: slice, is_reboot: bool) -> None:
    store = tmp_path / "store"
    _filled(store, 60, segment_bytes=1024)
    segments = stores.segments(store)
    bases = [int(path.stem) for path in segments]
    assert len(segments) > 3
    first = bases[gone][0]
    for path in segments[gone]:
        for suffix in (".log", ".index", ".timeindex"):
            path.with_suffix(suffix).unlink()
    if is_reboot:
        heads.simulate_reboot(stores.head_file(store))
    found = [finding for finding in eventlog.diagnose(store) if finding.severity == "error"]
    assert found and found[0].command == "eventlog repair events/0"
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert (partition.start_offset, partition.end_offset) == (0, _END)
        with pytest.raises(CorruptLogError) as raised:
            partition.read(first)
        assert (raised.value.topic, raised.value.partition, raised.value.offset) == (stores.TOPIC, 0, first)
        with pytest.raises(CorruptLogError):
            partition.offset_for_time(1000 + first)
        assert log.verify()[0].problems
        with pytest.raises(BackupError, match="eventlog repair events/0"):
            log.backup(tmp_path / "backup")
    with eventlog.open(store) as log:
        assert first in {offset for lost in log.repair(stores.TOPIC, 0, execute=True).lost for offset in lost}
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.append(b"goes on") == _END
        assert first not in [record.offset for record in partition.records()]
        assert not log.verify()[0].problems
    assert not [finding for finding in eventlog.diagnose(store, deep=True) if finding.severity == "error"]


def test_a_gap_forward_is_called_one_and_compaction_is_named_as_its_cure(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _filled(store, 60, segment_bytes=1024)
    path = stores.segments(store)[1]
    for suffix in (".log", ".index", ".timeindex"):
        path.with_suffix(suffix).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        with pytest.raises(CorruptLogError, match=r"a gap: .*cleanup\.policy=compact"):
            list(partition.values())
        assert "cleanup.policy=compact" in log.verify()[0].problems[0].reason
        log.alter_topic(stores.TOPIC, config={"cleanup.policy": "compact"})
        assert list(partition.values()) and not log.verify()[0].problems
