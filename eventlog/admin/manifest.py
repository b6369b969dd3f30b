"""The manifest of a backup: which files it consists of, with lengths and checksums, and which offsets they hold.

While a backup is being taken the manifest says that it is not complete; the complete one replaces it as the last step of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from eventlog.errors import BackupError
from eventlog.records.checksum import checksum_of
from eventlog.storage.segments import files, names

FORMAT = "eventlog-backup"
VERSION = 1

_Item = TypeVar("_Item")
_TYPES: dict[str, type] = {
    **dict.fromkeys(("path", "topic", "source"), str),
    **dict.fromkeys(("size_bytes", "crc32c", "partition", "start_offset", "end_offset", "created_ms"), int),
    "may_have_gaps": bool,
}


@dataclass(frozen=True)
class BackupFile:
    """A file: its path in the backup, its length in bytes, the CRC32C of its bytes."""

    path: str
    size_bytes: int
    crc32c: int


@dataclass(frozen=True)
class BackupPartition:
    """A partition: its start and end offset, and its files."""

    topic: str
    partition: int
    start_offset: int
    end_offset: int
    may_have_gaps: bool
    files: tuple[BackupFile, ...]


@dataclass(frozen=True)
class Manifest:
    """A complete backup. `source` is where the store was; `catalog` the file that holds topics, groups and offsets."""

    created_ms: int
    source: str
    catalog: BackupFile
    partitions: tuple[BackupPartition, ...]

    def files(self) -> Iterator[BackupFile]:
        """All files but the manifest."""
        yield self.catalog
        for partition in self.partitions:
            yield from partition.files

    @property
    def size_bytes(self) -> int:
        """The length of all files together."""
        return sum(file.size_bytes for file in self.files())

    @property
    def records(self) -> int:
        """The number of offsets between the starts and the ends of the partitions."""
        return sum(partition.end_offset - partition.start_offset for partition in self.partitions)


def begin_manifest(backup: Path) -> None:
    """Mark a directory as a backup that is being taken."""
    _write(backup, {"format": FORMAT, "version": VERSION, "complete": False})


def write_manifest(backup: Path, manifest: Manifest) -> None:
    """Mark a backup as complete."""
    _write(backup, {"format": FORMAT, "version": VERSION, "complete": True, **asdict(manifest)})


def _write(backup: Path, content: dict[str, Any]) -> None:
    files.replace_file(names.manifest_file(backup), [_text({**content, "crc32c": _checksum(content)})])


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode() + b"\n"


def _checksum(content: Mapping[str, Any]) -> int:
    return checksum_of(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def read_manifest(backup: Path) -> Manifest:
    """The manifest of a complete backup. Raises `BackupError`."""
    file = names.manifest_file(backup)
    content = _content(backup, file)
    if content["version"] > VERSION:
        raise BackupError(
            f"{backup} was written in format {content['version']} by a newer eventlog; this one knows {VERSION}: upgrade it"
        )
    if content.pop("crc32c", None) != _checksum(content):
        raise BackupError(f"{file} is damaged: its checksum does not match; use another backup")
    if not content.get("complete"):
        raise BackupError(
            f"{backup} is incomplete: either it is still being taken, or it was interrupted; if so, delete it and take "
            "another"
        )
    try:
        partitions = tuple(
            _checked(BackupPartition(**{**each, "files": tuple(_checked(BackupFile(**file)) for file in each["files"])}))
            for each in content["partitions"]
        )
        catalog = _checked(BackupFile(**content["catalog"]))
        found = _checked(Manifest(content["created_ms"], content["source"], catalog, partitions))
    except (KeyError, TypeError) as error:
        raise BackupError(f"{file} is not a manifest of this version: {error!r}") from error
    _refuse_paths_outside(file, found)
    return found


def _checked(item: _Item) -> _Item:
    """The item, whose fields are of the types that they are to have. Raises `TypeError`."""
    for name, kind in _TYPES.items():
        if type(getattr(item, name, kind())) is not kind:
            raise TypeError(f"{name} is not of type {kind.__name__}")
    return item


def _content(backup: Path, file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        content = json.loads(data)
    except FileNotFoundError:
        raise BackupError(f"{backup} is not a backup: it has no {file.name}") from None
    except NotADirectoryError:
        raise BackupError(f"{backup} is a file, but a backup is a directory") from None
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BackupError(f"{file} is damaged: {error}; use another backup") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or type(content.get("version")) is not int:
        raise BackupError(f"{file} is damaged, or the manifest of something else; use another backup")
    if content["version"] == VERSION and _text(content) != data:
        raise BackupError(f"{file} is damaged: it was changed; use another backup")
    return content


def _refuse_paths_outside(file: Path, manifest: Manifest) -> None:
    """A manifest that somebody else made must not let files be read or written elsewhere."""
    for each in manifest.files():
        path = PurePosixPath(each.path)
        if path.is_absolute() or "\0" in each.path or ".." in path.parts or path.parts[:1] not in (("logs",), ("meta",)):
            raise BackupError(f"{file} names the file {each.path!r}, which cannot belong to a backup")
