"""Damage to the files of a partition, after a clean close and after a reboot."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError
from tests.damage.harness import (
    DAMAGES,
    Damage,
    Store,
    check_appending,
    check_other_partition,
    check_reading,
    damage_file,
)
from tests.support import stores
from tests.support.heads import MappedHead

HARMLESS_BEHIND_THE_END = ("garbage behind the end", "zeros behind the end", "the end doubled")
LOGS = ["earlier log", "last log"]
HINTS = ["earlier index", "last index", "earlier time index", "last time index", "leader epochs"]

damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
moments = pytest.mark.parametrize("is_reboot", [False, True], ids=["reopened", "rebooted"])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture
def filled(original: Store, tmp_path: Path) -> Store:
    return original.copy(tmp_path / "store")


@damages
@moments
@pytest.mark.parametrize("kind", LOGS)
def test_a_damaged_log_never_gives_a_wrong_record_and_never_loses_one_silently(
    filled: Store, kind: str, is_reboot: bool, damage: Damage
) -> None:
    path = filled.files()[kind]
    if is_reboot:
        filled.reboot()
    changed = damage_file(path, damage)
    with eventlog.open(filled.path) as log:
        partition = stores.open_partition(log)
        blamed = check_reading(partition, filled.records[0])
        check_other_partition(log, filled)
        recovery = partition.recovery
        lost = len(filled.records[0]) - partition.end_offset
        if lost > 0:
            # All of it was on disk: that it is gone is damage, and not a torn tail.
            assert recovery.outcome == "damaged" and recovery.damage is not None
            assert recovery.damage.path == path
            assert not check_appending(partition)
        if changed and damage.name not in HARMLESS_BEHIND_THE_END:
            named = blamed | {problem.path.name for problem in log.verify()[0].problems}
            assert named or recovery.damage is not None


@damages
@moments
@pytest.mark.parametrize("kind", HINTS)
def test_a_damaged_index_or_epoch_file_changes_no_answer(
    filled: Store, kind: str, is_reboot: bool, damage: Damage
) -> None:
    path = filled.files()[kind]
    if is_reboot:
        filled.reboot()
    damage_file(path, damage)
    with eventlog.open(filled.path) as log:
        partition = stores.open_partition(log)
        assert not check_reading(partition, filled.records[0])
        assert partition.end_offset == len(filled.records[0])
        assert check_appending(partition)
        check_other_partition(log, filled)
    filled.reboot()
    with eventlog.open(filled.path) as log:
        assert not check_reading(stores.open_partition(log), filled.records[0])


@damages
def test_a_damaged_head_costs_a_scan_and_no_record(filled: Store, damage: Damage) -> None:
    filled.reboot()
    damage_file(stores.head_file(filled.path), damage)
    with eventlog.open(filled.path) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.outcome == "clean"
        assert not check_reading(partition, filled.records[0])
        assert check_appending(partition)
        check_other_partition(log, filled)


@moments
def test_two_segments_swapped_are_told_and_give_no_wrong_record(filled: Store, is_reboot: bool) -> None:
    first, second = stores.segments(filled.path)[1:3]
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    if is_reboot:
        filled.reboot()
    with eventlog.open(filled.path) as log:
        assert check_reading(stores.open_partition(log), filled.records[0])
        assert {problem.path for problem in log.verify()[0].problems} >= {first, second}
        check_other_partition(log, filled)


@pytest.mark.parametrize("byte", range(8))
def test_indexes_are_not_made_anew_from_a_segment_whose_batch_says_that_it_begins_far_away(tmp_path: Path, byte: int) -> None:
    store = tmp_path / "store"
    stores.create(store, **{"segment.bytes": 4096})
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number in range(3):
            partition.append(bytes(3000), timestamp=1000 * number)
    path = stores.segments(store)[0]
    good = path.read_bytes()
    path.write_bytes(good[:byte] + bytes([good[byte] ^ 0x40]) + good[byte + 1 :])
    before = path.with_suffix(".timeindex").read_bytes()
    with eventlog.open(store) as log:
        with pytest.raises(CorruptLogError) as raised:
            stores.open_partition(log).offset_for_time(1500)
        assert raised.value.path == path
    assert path.with_suffix(".timeindex").read_bytes() == before


def test_every_flipped_bit_of_a_small_log_is_noticed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"alone", b"key", [("name", b"value")], 1)
        partition.append_many([b"one", b"two"], timestamps=[2, 3])
        expected = stores.everything(partition)
        path = stores.segments(store)[0]
        good = path.read_bytes()
        size = MappedHead(stores.head_file(store)).state.tail.position
        harmless = 0
        with open(path, "r+b", buffering=0) as file:
            for bit in range(size * 8):
                place = bit // 8
                file.seek(place)
                file.write(bytes([good[place] ^ 1 << bit % 8]))
                try:
                    found = list(partition.records())
                except CorruptLogError as error:
                    assert Path(error.path) == path and 0 <= error.position < size
                else:
                    # The leader epoch is not under the checksum, and says nothing about a record.
                    assert found == expected
                    harmless += 1
                file.seek(place)
                file.write(good[place : place + 1])
        assert harmless == 2 * 32
        assert list(partition.records()) == expected


CATALOG_DAMAGES = [damage for damage in DAMAGES if damage.name in ("all zeros", "all garbage", "cut to nothing", "gone")]


@pytest.mark.parametrize("damage", CATALOG_DAMAGES, ids=lambda damage: damage.name)
@pytest.mark.parametrize("file", ["store.json", "meta/data.mdb"])
def test_a_store_whose_own_files_are_damaged_is_refused_and_not_begun_anew(
    filled: Store, file: str, damage: Damage
) -> None:
    if file == "store.json" and damage.name == "gone":
        pytest.skip("without it the directory is completed again, and nothing is begun anew")
    path = filled.path / file
    before = sorted(filled.path.rglob("*"))
    damage_file(path, damage)
    with pytest.raises(eventlog.StoreOpenError) as raised:
        eventlog.open(filled.path)
    assert file.split("/")[0].removesuffix(".json") in str(raised.value)
    assert set(before) - {path} <= set(filled.path.rglob("*"))


def test_a_catalog_cut_by_pages_is_refused_and_kills_nobody(filled: Store) -> None:
    path = filled.path / "meta" / "data.mdb"
    path.write_bytes(path.read_bytes()[: -2 * 4096])
    with pytest.raises(eventlog.StoreOpenError, match="damaged"):
        eventlog.open(filled.path)
