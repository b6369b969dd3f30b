"""A disk that lies: system calls of this process, and of LMDB in it, fail or do only a part of what they were asked for.

`faults.c` does it; a process has it when it was started with `preloaded` before its command line.
"""

from __future__ import annotations

import ctypes
import enum
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("faults.c")
_FLAGS = ["-shared", "-fPIC", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]


class Call(enum.IntEnum):
    """What a process asks of a file system. The order is that of `faults.c`; CREATE is an open that makes the file."""

    OPEN = 0
    CREATE = 1
    CLOSE = 2
    READ = 3
    WRITE = 4
    TRUNCATE = 5
    ALLOCATE = 6
    RENAME = 7
    LINK = 8
    UNLINK = 9
    MAKE_DIRECTORY = 10
    REMOVE_DIRECTORY = 11
    SYNC = 12
    MAP = 13
    FLOCK = 14
    RECORD_LOCK = 15
    STAT = 16
    STATFS = 17
    LIST = 18
    ACCESS = 19


class Part(enum.IntEnum):
    """How much of what it was asked for a read or write does."""

    WHOLE = 0
    HALF = 1
    ONE_BYTE = 2
    NOTHING = 3


# What takes up space: all of it fails on a full disk.
SPACE = frozenset({Call.CREATE, Call.WRITE, Call.ALLOCATE, Call.RENAME, Call.LINK, Call.MAKE_DIRECTORY})


@dataclass(frozen=True)
class Fault:
    """The `first` (from 1) of these calls does a part, or fails with an errno; a lasting fault lets those behind it fail."""

    calls: frozenset[Call]
    first: int
    error_number: int = 0
    is_lasting: bool = False
    part: Part = Part.WHOLE

    def __str__(self) -> str:
        called = "+".join(call.name for call in sorted(self.calls))
        what = [self.part.name] * (self.part != Part.WHOLE) + [os.strerror(self.error_number)] * (self.error_number != 0)
        return f"{called} {self.first}: {', then '.join(what)}{' from then on' if self.is_lasting else ''}"


def why_not() -> str | None:
    """Why there can be no faults here, or None when there can."""
    return None if shutil.which("cc") else "there is no C compiler"


def build(directory: Path) -> Path:
    """Compile the library."""
    library = directory / "faults.so"
    subprocess.run(["cc", *_FLAGS, "-o", library, _SOURCE, "-ldl"], check=True)
    return library


def preloaded(library: Path) -> list[str]:
    """The command that runs a program with the library in front of the C library."""
    return ["env", f"LD_PRELOAD={library}"]


class Faults:
    """The faults of this process, which was started with the library. They are for files whose path begins with `directory`."""

    def __init__(self, directory: Path) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_first_hit.restype = self._library.faults_synced_again.restype = ctypes.c_char_p
        self._library.faults_watch(os.fsencode(directory))

    def arm(self, fault: Fault) -> None:
        """Let calls fail from now on, and count anew."""
        calls = sum(1 << call for call in fault.calls)
        self._library.faults_arm(
            ctypes.c_ulong(calls), ctypes.c_long(fault.first), fault.is_lasting, fault.error_number, fault.part
        )

    def count(self) -> None:
        """Only count calls from now on."""
        self.arm(Fault(frozenset(), 0))

    def disarm(self) -> None:
        """The disk is well again."""
        self._library.faults_disarm()

    @property
    def hits(self) -> int:
        """How many calls did not do what they were asked for since faults were armed."""
        return int(self._library.faults_hits())

    @property
    def first_hit(self) -> str:
        """The file of the first such call."""
        return os.fsdecode(self._library.faults_first_hit())

    @property
    def synced_again(self) -> str:
        """A file of which a sync has failed, and that was synced once more; "" if there is none."""
        return os.fsdecode(self._library.faults_synced_again())

    def counts(self) -> Counter[Call]:
        """How many calls there were since faults were armed."""
        return Counter({call: self._library.faults_count(int(call)) for call in Call})
