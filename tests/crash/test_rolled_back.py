"""A file system that is rolled back to a snapshot within one boot: what is mapped holds locks of threads that are no more."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from tests.support import heads, stores
from tests.support.heads import MappedHead
from tests.support.stores import TOPIC

# native/store/acks.h: the first word of a slot's mutex is the thread that has it.
_SEAL_AT, _SLOTS_START = 4088, 20480
_THREAD = 4_000_000


@pytest.mark.parametrize("mutex", ["append", "flush"])
def test_a_partition_whose_snapshot_was_locked_is_recovered_and_takes_appends(store: Path, mutex: str) -> None:
    with eventlog.open(store, fsync="always") as log:
        partition = stores.open_partition(log)
        for number in range(10):
            partition.append(b"%d" % number)
        head = MappedHead(stores.head_file(store))
        getattr(head, f"lock_{mutex}")()
        snapshot = stores.head_file(store).read_bytes()
        getattr(head, f"unlock_{mutex}")()
    with open(stores.head_file(store), "r+b") as file:
        file.write(snapshot)
    with eventlog.open(store, lock_timeout_ms=1000) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.outcome == "clean"
        assert partition.append(b"after") == 10
        partition.flush()
        assert len(stores.everything(partition)) == 11


def test_what_was_locked_of_a_group_is_freed_and_keeps_what_was_committed(store: Path) -> None:
    with eventlog.open(store) as log, log.consumer(TOPIC, group="workers") as consumer:
        stores.open_partition(log).append_many([b"x"] * 10)
        assert len(consumer.poll(timeout=10)) == 10
        consumer.commit()
    with open(store / "shared" / "workers.acks", "r+b") as file:
        file.seek(_SEAL_AT)
        file.write(bytes(4))
        file.seek(_SLOTS_START)
        file.write(_THREAD.to_bytes(4, "little"))
    heads.break_seal(stores.head_file(store))
    with eventlog.open(store, lock_timeout_ms=1000) as log, log.consumer(TOPIC, group="workers") as consumer:
        stores.open_partition(log).append(b"y")
        assert [record.offset for record in consumer.poll(timeout=10)] == [10]
        consumer.commit(sync=True)
        assert list(log.group("workers").committed().values()) == [11]
