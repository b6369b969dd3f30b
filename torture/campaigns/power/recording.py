"""Recording what this process does to the files below a directory, with the help of recorder.c."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_SOURCE = Path(__file__).with_name("recorder.c")
_HEADER = struct.Struct("=IIIIQQQqq")


class Kind(IntEnum):
    """What an event is; the numbers are those of recorder.c."""

    CREATE = 1
    MAKE_DIRECTORY = 2
    LINK = 3
    UNLINK = 4
    REMOVE_DIRECTORY = 5
    RENAME = 6
    WRITE = 7
    WRITE_SYNCED = 8
    TRUNCATE = 9
    ALLOCATE = 10
    SYNC = 11
    MAPPED = 12
    MARK = 13


class Event(NamedTuple):
    """A call that changed something. Files and directories are named by their inodes; `position` is a size or a mark, too."""

    kind: Kind
    inode: int
    directory: int
    other_directory: int
    position: int
    length: int
    name: str
    other_name: str
    data: bytes

    def __str__(self) -> str:
        names = " -> ".join(name for name in (self.name, self.other_name) if name)
        return f"{self.kind.name} {names or f'inode {self.inode}'} at {self.position}, {self.length or len(self.data)} bytes"


class Initial(NamedTuple):
    """What stood below the directory before: files with their content, directories with None, by inode; and the names."""

    root: int
    contents: dict[int, bytes | None]
    names: list[tuple[int, str, int]]  # directory, name, inode


@dataclass
class Recording:
    """A directory as it was, and what was done to it then."""

    initial: Initial
    events: list[Event] = field(default_factory=list)


def build(directory: Path) -> Path:
    """Compile the recorder; the library to load in front of libc."""
    library = directory / "recorder.so"
    options = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *options, "-o", os.fspath(library), os.fspath(_SOURCE), "-ldl"], check=True)
    return library


def take_stock(root: Path) -> Initial:
    """What stands below a directory."""
    found = Initial(root.stat().st_ino, {root.stat().st_ino: None}, [])
    for path in sorted(root.rglob("*")):
        inode = path.stat().st_ino
        found.contents[inode] = None if path.is_dir() else path.read_bytes()
        found.names.append((path.parent.stat().st_ino, path.name, inode))
    return found


def mark(number: int) -> None:
    """Put a number between the events: what was done before it lies before it."""
    ctypes.CDLL(None).recorder_mark(ctypes.c_int64(number))


@contextmanager
def recorded(root: Path) -> Iterator[Recording]:
    """Record what is done below `root`; the recording is complete when the block ends. This process was started with the
    recorder in front of libc."""
    library = ctypes.CDLL(None)
    recording = Recording(take_stock(root))
    with tempfile.TemporaryFile() as file:
        library.recorder_begin(os.fsencode(root), file.fileno())
        try:
            yield recording
        finally:
            library.recorder_end()
        file.seek(0)
        recording.events = list(_parse(file.read()))


def _parse(data: bytes) -> Iterator[Event]:
    at = 0
    while at < len(data):
        kind, name, other_name, length, inode, directory, other_directory, position, size = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        texts = []
        for text_length in (name, other_name):
            texts.append(os.fsdecode(data[at : at + text_length]))
            at += text_length
        content = data[at : at + length]
        at += length
        yield Event(Kind(kind), inode, directory, other_directory, position, size, texts[0], texts[1], content)


def tree_of(root: Path) -> dict[str, bytes | None]:
    """The contents of all files below a directory by their paths; None for a directory."""
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}
