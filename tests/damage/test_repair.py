"""Repair of each kind of damage: it is shown first; then what is right is there, and the partition takes appends again."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import RepairPlan, TopicPartition
from tests.damage.harness import DAMAGES, RECORDS, Damage, Store, check_other_partition, damage_file
from tests.support import snapshots, stores
from tests.support.stores import TOPIC

GROUP = "readers"
COMMITTED = RECORDS - 10

damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
moments = pytest.mark.parametrize("is_reboot", [False, True], ids=["reopened", "rebooted"])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store") / "store")
    with eventlog.open(store.path) as log, log.consumer(group=GROUP) as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        consumer.commit({TopicPartition(TOPIC, 0): COMMITTED})
    return store


@pytest.fixture
def filled(original: Store, tmp_path: Path) -> Store:
    """A store whose heads are of this boot, and know what was on disk."""
    store = original.copy(tmp_path / "store")
    with eventlog.open(store.path) as log:
        for number in range(2):
            stores.open_partition(log, number).flush()
    return store


def _planned(store: Store) -> RepairPlan:
    """The plan, after a check that planning changes no file of the partition."""
    with eventlog.open(store.path) as log:
        stores.open_partition(log)  # recovery does what it may do
    before = snapshots.content(stores.partition_directory(store.path))
    with eventlog.open(store.path) as log:
        plan = log.repair(TOPIC, 0)
    assert snapshots.content(stores.partition_directory(store.path)) == before
    assert not plan.was_executed and not any(removal.kept_at for removal in plan.removals)
    return plan


def _repaired(store: Store, plan: RepairPlan) -> RepairPlan:
    """The executed plan, after a check that it was what the plan had said, and that the bytes were kept."""
    dropped = [removal.path.read_bytes()[removal.position :][: removal.size_bytes] for removal in plan.removals]
    with eventlog.open(store.path) as log:
        done = log.repair(TOPIC, 0, execute=True)
    assert [removal[:4] for removal in map(_fields, done.removals)] == [removal[:4] for removal in map(_fields, plan.removals)]
    assert (done.lost, done.indexes, done.end_offset) == (plan.lost, plan.indexes, plan.end_offset)
    assert done.was_executed == plan.is_needed
    for removal, content in zip(done.removals, dropped, strict=True):
        assert removal.kept_at is not None and removal.kept_at.parent == stores.removed_directory(store.path)
        assert removal.kept_at.read_bytes() == content
    return done


def _fields(removal: eventlog.Removal) -> tuple[object, ...]:
    return removal.path, removal.position, removal.size_bytes, removal.reason, removal.kept_at


def _check(store: Store, done: RepairPlan) -> None:
    """Every record that is not lost is there and right, verification is clean, appends and the group go on."""
    lost = {offset for gap in done.lost for offset in gap}
    with eventlog.open(store.path) as log:
        partition = stores.open_partition(log)
        assert (partition.start_offset, partition.end_offset) == (done.start_offset, done.end_offset)
        assert partition.recovery.damage is None
        found = list(partition.records())
        kept = [record for record in store.records[0] if record.offset not in lost and record.offset < done.end_offset]
        assert found == kept
        assert [record for record in stores.everything(partition)] == kept
        assert [report.problems for report in log.verify()] == [[], []]
        assert not log.repair(TOPIC, 0).is_needed
        offset = partition.append(b"after the repair")
        assert offset == done.end_offset
        with log.consumer(TOPIC, group=GROUP) as consumer:
            polled = [record for record in consumer.poll(timeout=10, max_records=1000) if record.partition == 0]
        assert [record.offset for record in polled] == [
            record.offset for record in kept if record.offset >= COMMITTED
        ] + [offset]
        check_other_partition(log, store)
    store.reboot()
    with eventlog.open(store.path) as log:
        assert stores.open_partition(log).end_offset == offset + 1
        assert [report.problems for report in log.verify()] == [[], []]


@damages
@moments
@pytest.mark.parametrize("kind", ["earlier log", "last log"])
def test_a_damaged_segment_loses_what_is_wrong_and_nothing_else(
    filled: Store, kind: str, is_reboot: bool, damage: Damage
) -> None:
    path = filled.files()[kind]
    if is_reboot:
        filled.reboot()
    damage_file(path, damage)
    _check(filled, _repaired(filled, _planned(filled)))


@damages
@moments
@pytest.mark.parametrize("kind", ["earlier index", "last index", "earlier time index", "last time index", "leader epochs"])
def test_a_damaged_index_or_epoch_file_is_made_anew_and_no_record_is_lost(
    filled: Store, kind: str, is_reboot: bool, damage: Damage
) -> None:
    if is_reboot:
        filled.reboot()
    damage_file(filled.files()[kind], damage)
    done = _repaired(filled, _planned(filled))
    assert not done.lost and not done.removals and done.end_offset == RECORDS
    _check(filled, done)
