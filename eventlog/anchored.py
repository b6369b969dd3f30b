"""A path in a store that is open: it says what the user called the store, and leads through the directory that was opened.

The system looks a path up anew each time. Where a link in it was switched meanwhile, or the store was moved and another one put
in its place, a program that goes on with the old path writes into another store. An anchored path leads by way of the open
descriptor of the store's directory: to the same store for as long as that is open, and afterwards where its name leads.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath
from typing import Any, ClassVar, TypeVar

_BY_DESCRIPTOR = re.compile(r"/proc/self/fd/(\d+)(?![^/'\" :,])")
_called: dict[int, str] = {}


class AnchoredPath(PosixPath):
    """Each store that is opened has a class of its own: what is made of its path is of that, in any version of Python."""

    anchor_name: ClassVar[str] = ""
    anchor_descriptor: ClassVar[int] = -1

    def __fspath__(self) -> str:
        """What the system is told."""
        text, root, descriptor = str(self), self.anchor_name, self.anchor_descriptor
        rest = text[len(root) :]
        if descriptor >= 0 and text.startswith(root) and rest[:1] in ("", "/"):
            return f"/proc/self/fd/{descriptor}{rest}"
        return text

    def __repr__(self) -> str:
        return repr(plain(self))

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        """To another process it is a path like any other."""
        return Path, (str(self),)


def anchored(path: Path, descriptor: int) -> AnchoredPath:
    """The path of a store, whose directory stays open as this descriptor until it is let go of."""
    anchor = {"anchor_name": str(path).rstrip("/"), "anchor_descriptor": descriptor}
    kind: type[AnchoredPath] = type("AnchoredPath", (AnchoredPath,), anchor)
    _called[descriptor] = str(path)
    return kind(path)


def let_go(path: Path) -> None:
    """The descriptor is about to be closed: from now on the paths lead where their names do."""
    if isinstance(path, AnchoredPath):
        kind: Any = type(path)
        _called.pop(kind.anchor_descriptor, None)
        kind.anchor_descriptor = -1


_AnyPath = TypeVar("_AnyPath", Path, "Path | None")


def plain(path: _AnyPath) -> _AnyPath:
    """The same path by its name alone, for who takes it elsewhere, or keeps it for longer than the store is open."""
    return None if path is None else Path(str(path))


def opening(directory: Path) -> tuple[int | None, str]:
    """How to open files in a directory again and again, faster than by a `Path`: `dir_fd`, and what stands before `/NAME`."""
    if isinstance(directory, AnchoredPath) and directory.anchor_descriptor >= 0:
        relative = str(directory)[len(directory.anchor_name) :].lstrip("/")
        return directory.anchor_descriptor, relative or "."
    return None, os.fspath(directory)


def by_name(text: str) -> str:
    """A message of the system with the paths called as the user did."""
    return _BY_DESCRIPTOR.sub(lambda match: _called.get(int(match[1]), match[0]), text) if "/proc/self/fd/" in text else text
