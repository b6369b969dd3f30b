"""A partition that comes to the last offset there is."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLogError
from tests.support import stores

_END = 2**63 - 1  # an end offset is an offset, too: the last record has the one before


def _begin_at(store: Path, offset: int) -> None:
    eventlog.open(store).close()
    directory = stores.partition_directory(store)
    directory.mkdir()
    (directory / f"{offset:020d}.log").touch()


@pytest.mark.parametrize("left", [0, 1, 3, 1000])
def test_appends_end_with_the_last_offset_and_nothing_is_lost(tmp_path: Path, left: int) -> None:
    store = tmp_path / "store"
    _begin_at(store, _END - left)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        with pytest.raises(EventLogError, match="no offsets left"):
            partition.append_many([b"one too many"] * (left + 1))
        offsets = [partition.append(b"%d" % number) for number in range(min(left, 3))]
        offsets += partition.append_many([b"the rest"] * (left - len(offsets)))
        for attempt in (partition.append, lambda value: log.producer().send(stores.TOPIC, value)):
            with pytest.raises(EventLogError, match="no offsets left"):
                attempt(b"one too many")
        assert partition.end_offset == _END and offsets == list(range(_END - left, _END))
        assert [record.offset for record in partition.records()] == offsets
        with log.consumer(stores.TOPIC, group="readers") as consumer:
            assert [record.offset for record in consumer.poll(timeout=0, max_records=left + 1)] == offsets
            consumer.commit(sync=True)
        assert not left or set(log.group("readers").lag().values()) == {0}
        assert not log.verify()[0].problems
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert (partition.recovery.outcome, partition.end_offset) == ("clean", _END)
        assert sum(1 for _ in partition.values()) == left
        partition.delete_records(_END)
        assert (partition.start_offset, list(partition.values())) == (_END, [])
