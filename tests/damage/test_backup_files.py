"""Damage to each kind of file in a backup: verification finds it, and nothing is restored of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import BackupError, TopicPartition
from tests.damage.harness import DAMAGES, Damage, Store, damage_file
from tests.support import snapshots, stores

damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup, made of copies so that damage to it is not damage to the store."""
    store = Store(tmp_path_factory.mktemp("store") / "store")
    backup = store.path.with_name("backup")
    with eventlog.open(store.path) as log:
        with log.consumer(group="readers") as consumer:
            consumer.assign([TopicPartition(stores.TOPIC, 0)])
            consumer.commit({TopicPartition(stores.TOPIC, 0): 100})
        log.backup(backup, link=False)
    return backup


def _kinds(backup: Path) -> dict[str, Path]:
    logs = stores.segments(backup)
    return {
        "earlier log": logs[1],
        "last log": logs[-1],
        "earlier index": logs[1].with_suffix(".index"),
        "last time index": logs[-1].with_suffix(".timeindex"),
        "leader epochs": stores.partition_directory(backup) / "leader-epoch-checkpoint",
        "catalog": backup / "meta" / "data.mdb",
    }


def _copy(sound: Path, path: Path) -> Path:
    """Links suffice: damage replaces the file."""
    for source in sorted(sound.rglob("*")):
        target = path / source.relative_to(sound)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir(exist_ok=True) if source.is_dir() else target.write_bytes(source.read_bytes())
    return path


@damages
@pytest.mark.parametrize("kind", ["earlier log", "last log", "earlier index", "last time index", "leader epochs", "catalog"])
def test_damage_to_a_file_is_found_and_not_restored(sound: Path, tmp_path: Path, kind: str, damage: Damage) -> None:
    backup = _copy(sound, tmp_path / "backup")
    assert not any(report.problems for report in eventlog.verify_backup(backup))
    path = _kinds(backup)[kind]
    if not damage_file(path, damage):
        pytest.skip("it changes nothing")
    before = snapshots.content(backup)
    assert path in {problem.path for report in eventlog.verify_backup(backup) for problem in report.problems}
    with pytest.raises(BackupError, match="damaged"):
        eventlog.restore(backup, tmp_path / "restored")
    assert not (tmp_path / "restored").exists() and snapshots.content(backup) == before


@damages
def test_damage_to_the_manifest_is_found_and_not_restored(sound: Path, tmp_path: Path, damage: Damage) -> None:
    backup = _copy(sound, tmp_path / "backup")
    if damage.name == "zeros behind the end" or not damage_file(backup / "backup.json", damage):
        pytest.skip("it changes nothing")
    for use in (eventlog.verify_backup, lambda backup: eventlog.restore(backup, tmp_path / "restored")):
        with pytest.raises(BackupError, match=str(backup)):
            use(backup)
    assert not (tmp_path / "restored").exists()


def test_every_flipped_bit_of_the_manifest_is_noticed(sound: Path, tmp_path: Path) -> None:
    backup = _copy(sound, tmp_path / "backup")
    manifest = backup / "backup.json"
    good = manifest.read_bytes()
    for bit in range(0, 8 * len(good), 61):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        if bytes(changed).split() == good.split():
            continue  # a space became another kind of space
        manifest.write_bytes(changed)
        with pytest.raises(BackupError):
            eventlog.verify_backup(backup)


def test_a_file_too_many_is_told(sound: Path, tmp_path: Path) -> None:
    backup = _copy(sound, tmp_path / "backup")
    extra = stores.partition_directory(backup) / f"{999:020d}.log"
    extra.write_bytes(b"")
    assert extra in {problem.path for report in eventlog.verify_backup(backup) for problem in report.problems}


def test_a_partition_that_is_gone_is_told(sound: Path, tmp_path: Path) -> None:
    backup = _copy(sound, tmp_path / "backup")
    directory = stores.partition_directory(backup, 1)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    [found] = [report for report in eventlog.verify_backup(backup) if report.problems]
    assert found.directory == directory
