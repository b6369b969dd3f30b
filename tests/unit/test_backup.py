"""Backup and restore of a store that nobody else uses; tests/crash/test_backup.py has the crowd."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import eventlog
from eventlog import BackupError, InvalidArgumentError, InvalidTypeError, StoreOpenError, TopicPartition
from tests.support import heads, snapshots, stores
from tests.support.stores import TOPIC

PARTITIONS = 3
GROUP = "readers"


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store: two partitions of several segments, one that nothing was appended to; a group that has committed 100 and 7."""
    store = tmp_path / "store"
    stores.create(store, PARTITIONS, segment_bytes=4096, index_interval_bytes=256)
    with eventlog.open(store) as log:
        log.create_topic("empty")
        for number in range(2):
            partition = stores.open_partition(log, number)
            for place in range(300):
                partition.append(b"%d " % place * 10, b"key", [("header", b"%d" % place)], 1000 + place)
        with log.consumer(group=GROUP) as consumer:
            consumer.assign([TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)])
            consumer.commit({TopicPartition(TOPIC, 0): 100, TopicPartition(TOPIC, 1): 7})
    return store


def _back_up(store: Path, *, link: bool = True) -> Path:
    backup = store.with_name("backup")
    with eventlog.open(store) as log:
        log.backup(backup, link=link)
    return backup


def _inodes(directory: Path) -> set[int]:
    return {path.stat().st_ino for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", [True, False])
def test_a_restored_store_has_every_record_setting_and_offset_and_goes_on(filled: Path, link: bool) -> None:
    restored = filled.with_name("restored")
    with eventlog.open(filled) as log:
        report = log.backup(filled.with_name("backup"), link=link)
        expected = [stores.everything(stores.open_partition(log, number)) for number in range(PARTITIONS)]
        topic = log.topic(TOPIC)
    assert (report.topics, report.partitions, report.groups, report.records) == (2, 2, 1, 600)
    assert (report.linked_bytes > 0) == link
    made = eventlog.restore(filled.with_name("backup"), restored)
    assert (made.path, made.partitions, made.records, made.size_bytes) == (restored, 2, 600, report.size_bytes)
    with eventlog.open(restored, create=False) as log:
        assert log.topics() == ["empty", TOPIC] and log.topic(TOPIC) == topic
        found = [stores.everything(stores.open_partition(log, number)) for number in range(PARTITIONS)]
        assert found == expected and all(stores.open_partition(log).recovery.damage is None for _ in range(2))
        assert [report.problems for report in log.verify()] == [[]] * 3
        assert log.group(GROUP).committed() == {TopicPartition(TOPIC, 0): 100, TopicPartition(TOPIC, 1): 7}
        assert stores.open_partition(log).append(b"it goes on") == 300
        with log.consumer(TOPIC, group=GROUP) as consumer:
            first = {record.partition: record.offset for record in reversed(consumer.poll(timeout=10, max_records=1000))}
        assert first.items() <= {0: 100, 1: 7}.items() and first


def test_sealed_segments_are_links_and_what_can_still_change_is_a_copy(filled: Path) -> None:
    backup = _back_up(filled)
    shared = _inodes(filled) & _inodes(backup)
    for number in range(2):
        *sealed, active = stores.segments(filled, number)
        assert sealed and {path.stat().st_ino for path in sealed} <= shared
        assert active.stat().st_ino not in shared
    assert not any(path.stat().st_ino in shared for path in filled.rglob("*checkpoint"))
    assert {path.stat().st_mode & 0o777 for path in backup.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [backup, *backup.rglob("*")] if path.is_dir()} == {0o700}


def test_what_happens_to_the_store_afterwards_does_not_happen_to_the_backup(filled: Path) -> None:
    backup = _back_up(filled)
    before = snapshots.content(backup)
    stores.segments(filled)[0].unlink()
    with eventlog.open(filled) as log:
        for number in range(2):
            stores.open_partition(log, number).append_many([b"more" * 100] * 5)
    assert snapshots.content(backup) == before
    assert [report.problems for report in eventlog.verify_backup(backup)] == [[]] * 3


def test_copies_share_nothing_with_the_store(filled: Path) -> None:
    assert not _inodes(filled) & _inodes(_back_up(filled, link=False))


def test_a_backup_and_a_restored_store_are_independent(filled: Path) -> None:
    backup = _back_up(filled)
    before = snapshots.content(backup)
    eventlog.restore(backup, filled.with_name("restored"))
    with eventlog.open(filled.with_name("restored")) as log:
        stores.open_partition(log).append(b"only here")
    assert snapshots.content(backup) == before
    assert not _inodes(backup) & _inodes(filled.with_name("restored"))


@pytest.mark.parametrize("create", [True, False])
def test_a_backup_is_not_opened_as_a_store_and_stays_as_it_is(filled: Path, create: bool) -> None:
    backup = _back_up(filled)
    before = snapshots.content(backup)
    with pytest.raises(StoreOpenError, match="is a backup"):
        eventlog.open(backup, create=create)
    assert snapshots.content(backup) == before


def test_verifying_writes_nothing(filled: Path) -> None:
    backup = _back_up(filled)
    names = sorted(backup.rglob("*"))
    eventlog.verify_backup(backup)
    assert sorted(backup.rglob("*")) == names


def test_members_of_a_restored_store_are_never_mistaken_for_earlier_ones(filled: Path) -> None:
    """Members are told apart by the numbers of the catalog's transactions: a copy that begins anew would use them twice."""

    def join(path: Path) -> int:
        with eventlog.open(path) as log, log.consumer(TOPIC, group=GROUP) as consumer:
            consumer.poll(timeout=0)
            [member] = log.group(GROUP).describe().members
            return int(member.member_id.rsplit("-", 1)[1])

    for _ in range(5):
        earlier = join(filled)
    backup = _back_up(filled)
    eventlog.restore(backup, filled.with_name("restored"))
    assert join(filled.with_name("restored")) > earlier


@pytest.mark.parametrize("place", ["full", "file", "inside", "store"])
def test_a_place_that_cannot_be_used_is_refused_and_nothing_changes(filled: Path, place: str) -> None:
    destination = {
        "full": filled.with_name("full"), "file": filled.with_name("file"), "inside": filled / "backup", "store": filled,
    }[place]  # fmt: skip
    filled.with_name("full").mkdir()
    (filled.with_name("full") / "precious").write_text("data")
    filled.with_name("file").write_text("data")
    with eventlog.open(filled) as log:
        before = snapshots.content(filled.parent)
        with pytest.raises(BackupError, match=str(destination)):
            log.backup(destination)
        assert snapshots.content(filled.parent) == before
    if place in ("full", "file"):
        backup = _back_up(filled)
        before = snapshots.content(filled.parent)
        with pytest.raises(BackupError, match=str(destination)):
            eventlog.restore(backup, destination)
        assert snapshots.content(filled.parent) == before


def test_an_empty_directory_may_be_used(filled: Path) -> None:
    for name in ("backup", "restored"):
        filled.with_name(name).mkdir()
    eventlog.restore(_back_up(filled), filled.with_name("restored"))
    with eventlog.open(filled.with_name("restored")) as log:
        assert stores.open_partition(log).end_offset == 300


@pytest.mark.parametrize("is_reboot", [False, True])
def test_a_damaged_partition_is_not_backed_up_and_nothing_is_left(filled: Path, is_reboot: bool) -> None:
    path = stores.segments(filled)[-1]
    if is_reboot:
        heads.simulate_reboot(stores.head_file(filled))
    path.write_bytes(path.read_bytes()[:-1])
    with eventlog.open(filled) as log, pytest.raises(BackupError, match=f"{TOPIC}/0 is damaged.*eventlog repair {TOPIC}/0"):
        log.backup(filled.with_name("backup"))
    assert not filled.with_name("backup").exists()


@pytest.mark.parametrize("path", ["nothing", "store"])
def test_what_is_no_backup_is_refused(filled: Path, path: str) -> None:
    for use in (eventlog.verify_backup, lambda path: eventlog.restore(path, filled.with_name("restored"))):
        with pytest.raises(BackupError, match="is not a backup"):
            use(filled.with_name(path))
    assert not filled.with_name("restored").exists()


def test_a_backup_of_a_newer_version_is_refused(filled: Path) -> None:
    backup = _back_up(filled)
    manifest = backup / "backup.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 2}))
    with pytest.raises(BackupError, match="newer"):
        eventlog.verify_backup(backup)


def test_a_manifest_cannot_name_files_elsewhere(filled: Path) -> None:
    from eventlog.records.checksum import checksum_of  # a forger can compute it, too

    backup = _back_up(filled)
    manifest = backup / "backup.json"
    content = json.loads(manifest.read_text().replace("meta/data.mdb", "meta/../../secret"))
    del content["crc32c"]
    content["crc32c"] = checksum_of(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
    manifest.write_text(json.dumps(content, indent=1) + "\n")
    with pytest.raises(BackupError, match="secret"):
        eventlog.restore(backup, filled.with_name("restored"))


def test_arguments_are_checked(filled: Path) -> None:
    with eventlog.open(filled) as log:
        with pytest.raises(InvalidTypeError, match="link must be a bool"):
            log.backup(filled.with_name("backup"), link=1)  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError, match="destination"):
            log.backup(7)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="not name a directory"):
            log.backup("")
    assert not os.path.exists(filled.with_name("backup"))
