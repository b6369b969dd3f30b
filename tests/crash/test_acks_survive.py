"""What commit returned is there after every process was killed; what commit(sync=True) returned also after a reboot."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition
from tests.support import heads, members, stores
from tests.support.processes import Worker
from tests.support.stores import TOPIC

GROUP = "billing"
PARTITIONS = 3
COMMITS = 300
SYNC_EVERY = 50


def kill_everybody_at_work(store: Path, fsync: str) -> tuple[dict[int, int], dict[int, int]]:
    """Produce and consume, and kill all at once. Returns, by partition, the last offsets whose commit returned, and those with
    sync."""
    committed: dict[int, int] = defaultdict(int)
    synced: dict[int, int] = defaultdict(int)
    with (
        Worker(members.produce_forever, store, PARTITIONS) as producer,
        Worker(members.commit_and_report, store, GROUP, SYNC_EVERY, fsync) as consumer,
    ):
        assert producer.receive() == "sending"
        reports = [consumer.receive() for _ in range(COMMITS)]
        consumer.kill()
        producer.kill()
        reports += consumer.drain()
    for partition, offset, is_synced in reports:
        committed[partition] = max(committed[partition], offset)
        if is_synced:
            synced[partition] = max(synced[partition], offset)
    return committed, synced


@pytest.fixture
def shared_store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    stores.create(store, partitions=PARTITIONS)
    return store


def test_every_ack_that_was_returned_survives_the_death_of_all_processes(shared_store: Path) -> None:
    for _ in range(3):
        committed, _ = kill_everybody_at_work(shared_store, "interval")
        assert committed
        with eventlog.open(shared_store, create=False) as log:
            found = log.group(GROUP).committed()
        for partition, offset in committed.items():
            assert found[TopicPartition(TOPIC, partition)] >= offset


@pytest.mark.parametrize("fsync", ["interval", "never"])
def test_after_a_reboot_synced_acks_are_there_and_none_is_behind_the_durable_end(shared_store: Path, fsync: str) -> None:
    _, synced = kill_everybody_at_work(shared_store, fsync)
    assert synced
    durable = {number: _durable_offset(shared_store, number) for number in range(PARTITIONS)}
    for file in (shared_store / "shared").iterdir():
        if file.suffix in (".head", ".acks"):
            heads.simulate_reboot(file)
    with eventlog.open(shared_store, create=False) as log:
        found = log.group(GROUP).committed()
        for partition, offset in synced.items():
            assert found[TopicPartition(TOPIC, partition)] >= offset
        for partition, offset in found.items():
            assert offset <= durable[partition.partition], "an ack points at records that a power cut could lose"
            assert offset <= log.partition(*partition).end_offset


def _durable_offset(store: Path, partition: int) -> int:
    """The durable offset as the head has it: opening and closing the partition would move it."""
    return int(heads.MappedHead(stores.head_file(store, partition)).state.durable_offset)
