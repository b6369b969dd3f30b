"""Files that somebody made with care: of the right form, with a right checksum, and wrong all the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import BackupError, StoreOpenError
from tests.support import kafka_format, stores

_DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    stores.create(root / "store")
    with eventlog.open(root / "store") as log:
        stores.open_partition(log).append(b"value")
        log.backup(root / "backup")
    return root / "backup"


def _signed(content: dict[str, Any]) -> bytes:
    fields = {name: value for name, value in content.items() if name != "crc32c"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**fields, "crc32c": kafka_format.crc32c(text)}, indent=1).encode() + b"\n"


_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a number as the path of a file": lambda content: content["catalog"].update(path=5),
    "text as the size of a file": lambda content: content["catalog"].update(size_bytes="1"),
    "a list as the time": lambda content: content.update(created_ms=[]),
    "an offset that is null": lambda content: content["partitions"][0].update(start_offset=None),
    "a number instead of files": lambda content: content["partitions"][0].update(files=5),
    "a path that no system has": lambda content: content["catalog"].update(path="meta/\0"),
    "a path to elsewhere": lambda content: content["catalog"].update(path="meta/../../x"),
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES)
def test_a_signed_manifest_of_wrong_types_is_refused(backup: Path, tmp_path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads((backup / "backup.json").read_bytes())
    assert _signed(content) == (backup / "backup.json").read_bytes()
    changed = copy.deepcopy(content)
    change(changed)
    (tmp_path / "backup.json").write_bytes(_signed(changed))
    for use in (eventlog.verify_backup, lambda path: eventlog.restore(path, tmp_path / "restored")):
        with pytest.raises(BackupError, match=r"not a manifest of this version|cannot belong to a backup"):
            use(tmp_path)


def test_json_of_any_depth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "backup.json").write_bytes(_DEEP)
    with pytest.raises(BackupError, match="damaged"):
        eventlog.verify_backup(tmp_path)
    eventlog.open(tmp_path / "store").close()
    (tmp_path / "store" / "store.json").write_bytes(_DEEP)
    with pytest.raises(StoreOpenError, match="damaged"):
        eventlog.open(tmp_path / "store")


def test_a_file_name_beyond_all_offsets_is_no_segment(tmp_path: Path) -> None:
    directory = stores.partition_directory(tmp_path / "store")
    directory.mkdir(parents=True)
    (directory / f"{2**63:020d}.log").write_bytes(b"")
    (directory / f"{10**20 - 1}.log").write_bytes(b"")
    with eventlog.open(tmp_path / "store") as log:
        assert stores.open_partition(log).append(b"value") == 0


@pytest.mark.parametrize("content", [_DEEP, b'{"replaces": 5}', b'{"replaces": {"a": 1}}', b'{"replaces": [-1, null, "x"]}'])
def test_a_rotten_note_of_a_compaction_replaces_nothing(tmp_path: Path, content: bytes) -> None:
    stores.create(tmp_path / "store", cleanup_policy="compact")
    with eventlog.open(tmp_path / "store") as log:
        stores.open_partition(log).append(b"value", b"key")
    (stores.partition_directory(tmp_path / "store") / f"{0:020d}.compaction").write_bytes(content)
    with eventlog.open(tmp_path / "store") as log:
        log.maintain()
        assert [record.value for record in stores.everything(stores.open_partition(log))] == [b"value"]
