"""Repair of each kind of damage: it is shown first; then what is right is there, and the partition takes appends again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLogError, InvalidTypeError, PartitionNotFoundError, RepairPlan, TopicNotFoundError, TopicPartition
from tests.damage.harness import DAMAGES, RECORDS, Damage, Store, check_other_partition, damage_file
from tests.support import heads, kafka_format, keepers, snapshots, stores, tracing, workers
from tests.support.processes import Interpreter, Worker
from tests.support.slow import slowly
from tests.support.stores import TOPIC

GROUP = "readers"
COMMITTED = RECORDS - 10

damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
_HINTS = ("a bit flipped in the middle", "all garbage", "cut by a byte", "gone")
HINT_DAMAGES = [each for each in DAMAGES if each.name in _HINTS]
moments = pytest.mark.parametrize("is_reboot", [False, *slowly(True)], ids=["reopened", "rebooted"])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store") / "store")
    with eventlog.open(store.path) as log, log.consumer(group=GROUP) as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        consumer.commit({TopicPartition(TOPIC, 0): COMMITTED})
    return store


@pytest.fixture
def filled(original: Store, tmp_path: Path) -> Store:
    return original.copy(tmp_path / "store")


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
        kept = [record for record in store.records[0] if record.offset not in lost and record.offset >= done.start_offset]
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


@pytest.mark.parametrize("damage", HINT_DAMAGES, ids=lambda damage: damage.name)
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


def test_segments_that_are_gone_cost_their_records_and_no_other(filled: Store) -> None:
    gone = stores.segments(filled.path)
    for path in (gone[0], gone[3], gone[-1]):
        path.unlink()
    done = _repaired(filled, _planned(filled))
    first = int(gone[1].stem)
    assert len(done.lost) == 3 and done.lost[0] == range(first) and (done.start_offset, done.end_offset) == (first, RECORDS)
    _check(filled, done)


def test_records_behind_what_is_known_to_have_been_on_disk_stay(tmp_path: Path) -> None:
    """The last durable position is no more than that: the system writes on, and after a power cut it may be an old one."""
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store, fsync="never") as log:
        partition = stores.open_partition(log)
        for number in range(20):
            partition.append(b"%d" % number)
            if number == 9:
                partition.flush()
    batches = kafka_format.parse_log(stores.segments(store)[0])
    damaged = batches[5]
    with open(stores.segments(store)[0], "r+b") as file:
        file.seek(damaged.position + damaged.size_bytes - 2)
        file.write(b"!")
    heads.simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        done = log.repair(TOPIC, 0, execute=True)
        assert (done.lost, done.end_offset) == ((range(5, 6),), 20)
        values = list(stores.open_partition(log).values())
    assert values == [b"%d" % number for number in range(20) if number != 5]


def test_a_batch_inside_a_value_is_never_taken_for_a_record(tmp_path: Path) -> None:
    """The value of a damaged record holds a right batch, with an offset that would fit."""
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"one")
        partition.flush()
        batch = bytearray(stores.segments(store)[0].read_bytes()[: partition.bytes_from(0)])
        batch[7] = 1
        partition.append(b"the value is" + bytes(batch))
        partition.append(b"three")
    path = stores.segments(store)[0]
    path.write_bytes(path.read_bytes().replace(b"the value is", b"thE value is"))
    with eventlog.open(store) as log:
        done = log.repair(TOPIC, 0, execute=True)
        assert done.lost == (range(1, 2),)
        assert [record.value for record in stores.open_partition(log).records()] == [b"one", b"three"]


def test_a_batch_whose_offset_leaps_is_the_one_that_is_dropped(filled: Store) -> None:
    """Base offsets are not under the checksum: the batches behind a wrong one are right."""
    path = filled.files()["earlier log"]
    data = bytearray(path.read_bytes())
    second = 12 + int.from_bytes(data[8:12], "big")
    data[second + 7] ^= 0x10
    path.write_bytes(data)
    done = _repaired(filled, _planned(filled))
    assert [len(gap) for gap in done.lost] == [4]
    _check(filled, done)


def test_new_records_come_behind_what_a_group_has_committed(filled: Store) -> None:
    """The head tells no more how long the log was: it is gone, and so is the last batch."""
    with eventlog.open(filled.path) as log, log.consumer(group="ahead") as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        consumer.commit({TopicPartition(TOPIC, 0): 396})
    stores.segments(filled.path)[-1].unlink()
    stores.head_file(filled.path).unlink()
    path = stores.segments(filled.path)[-1]
    data = path.read_bytes()
    path.write_bytes(data[:500] + b"\xff" + data[501:-1])
    with eventlog.open(filled.path) as log:
        done = log.repair(TOPIC, 0, execute=True)
        assert len(done.removals) == 2 and done.lost[-1] == range(392, 396)
        assert stores.open_partition(log).append(b"new") == 396


def test_a_partition_without_damage_needs_nothing_and_stays_as_it_is(filled: Store) -> None:
    plan = _planned(filled)
    assert not plan.is_needed and (plan.start_offset, plan.end_offset) == (0, RECORDS)
    before = snapshots.content(stores.partition_directory(filled.path))
    assert not _repaired(filled, plan).was_executed
    assert snapshots.content(stores.partition_directory(filled.path)) == before


def test_while_another_process_has_it_open_it_is_planned_but_not_done_and_the_process_is_named(filled: Store) -> None:
    damage_file(filled.files()["earlier log"], DAMAGES[1])
    with Worker(workers.append_when_told, filled.path, {}) as other:
        assert other.receive() == "ready"
        with eventlog.open(filled.path) as log:
            assert log.repair(TOPIC, 0).is_needed
            before = snapshots.content(stores.partition_directory(filled.path))
            with pytest.raises(EventLogError, match=rf"open in process.*\b{other.pid}\b"):
                log.repair(TOPIC, 0, execute=True)
            assert snapshots.content(stores.partition_directory(filled.path)) == before
        other.send(b"it goes on")
        assert other.receive()[0] == RECORDS
        other.send(None)
        other.join()
    with eventlog.open(filled.path) as log:
        assert log.repair(TOPIC, 0, execute=True).was_executed


@pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")
@pytest.mark.parametrize("system_call", ["rename", *slowly("fsync", "unlink", "write")])
def test_a_repair_that_is_killed_is_done_again(original: Store, tmp_path: Path, system_call: str) -> None:
    kills = 0
    for point in range(1, 12):
        store = original.copy(tmp_path / str(point))
        for kind in ("earlier log", "last log"):
            damage_file(store.files()[kind], DAMAGES[1])
        with Interpreter(keepers.repair, store.path, prefix=tracing.killing(system_call, point)) as keeper:
            keeper.drain()
            kills += keeper.exit_status != 0
        with eventlog.open(store.path) as log:
            done = log.repair(TOPIC, 0, execute=True)
            partition = stores.open_partition(log)
            found = list(partition.records())
            assert [report.problems for report in log.verify()] == [[], []]
            assert found == [record for record in store.records[0] if record in found] and len(found) == RECORDS - 8
            assert partition.append(b"new") == RECORDS == done.end_offset
        if keeper.exit_status == 0:
            break  # it makes fewer calls: at every later point it would not be killed either
    assert kills, f"a repair never calls {system_call}"


@pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")
@pytest.mark.parametrize("is_planned", [True, False])
def test_a_repair_ends_what_a_killed_compaction_began_and_takes_none_of_its_segments_for_wrong(
    tmp_path: Path, is_planned: bool
) -> None:
    half_swapped = 0
    for point in range(1, 9):
        store = tmp_path / str(point)
        latest = _fill_compacted_topic(store)
        with Interpreter(keepers.compact, store, prefix=tracing.killing("unlink", point)) as keeper:
            keeper.drain()
        directory = stores.partition_directory(store)
        half_swapped += any(directory.glob("*.compaction"))
        (directory / "leader-epoch-checkpoint").unlink()
        with eventlog.open(store) as log:
            plan = log.repair(TOPIC, 0) if is_planned else None
            done = log.repair(TOPIC, 0, execute=True)
            assert done.is_needed and not done.removals and not done.lost
            assert plan is None or done == replace(plan, was_executed=True)
            log.maintain(compact_all=True)
            assert {record.key: record.value for record in log.partition(TOPIC, 0).records()} == latest
    assert half_swapped, "no compaction was killed while it put a segment in the place of others"


def _fill_compacted_topic(store: Path) -> dict[bytes, bytes]:
    """Small segments that compaction merges; the latest value of each key is returned."""
    with eventlog.open(store, fsync="never") as log:
        log.create_topic(TOPIC, config={"cleanup.policy": "compact", "segment.bytes": 3000})
        partition = log.partition(TOPIC, 0)
        for number in range(60):
            partition.append(b"%d" % number, key=b"%d" % (number % 7) + b"k" * 200)
        latest = {record.key: record.value for record in partition.records()}
        log.alter_topic(TOPIC, config={"segment.bytes": 20000})
    return latest


def test_bad_input_is_refused(filled: Store) -> None:
    with eventlog.open(filled.path) as log:
        with pytest.raises(PartitionNotFoundError, match="0 to 1"):
            log.repair(TOPIC, 2)
        with pytest.raises(TopicNotFoundError):
            log.repair("nothing", 0)
        with pytest.raises(InvalidTypeError, match="execute"):
            log.repair(TOPIC, 0, execute=1)  # type: ignore[arg-type]
