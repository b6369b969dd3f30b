"""A path in an open store: it displays the user's name for the store, but resolves through the directory that was opened.

The system resolves a path again at each use. If a link in it was switched meanwhile, or the store was moved and replaced by
another one, a program that still uses the old path writes into the wrong store. An anchored path resolves through the open
descriptor of the store's directory: to the same store for as long as that is open, and by its name afterwards.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath
from typing import Any, ClassVar, TypeVar

_BY_DESCRIPTOR = re.compile(r"/proc/self/fd/(\d+)(?![^/'\" :,])")
_called: dict[int, str] = {}


class AnchoredPath(PosixPath):
    """Each opened store has its own subclass, so that paths derived from its path have that class in any version of Python."""

    anchor_name: ClassVar[str] = ""
    anchor_descriptor: ClassVar[int] = -1

    def __fspath__(self) -> str:
        """The path that is passed to the system."""
        text, root, descriptor = str(self), self.anchor_name, self.anchor_descriptor
        rest = text[len(root) :]
        if descriptor >= 0 and text.startswith(root) and rest[:1] in ("", "/"):
            return f"/proc/self/fd/{descriptor}{rest}"
        return text

    def __repr__(self) -> str:
        return repr(plain(self))

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        """In another process, it is an ordinary path."""
        return Path, (str(self),)


def anchored(path: Path, descriptor: int) -> AnchoredPath:
    """The path of a store whose directory stays open as this descriptor, until `release` is called."""
    anchor = {"anchor_name": str(path).rstrip("/"), "anchor_descriptor": descriptor}
    kind: type[AnchoredPath] = type("AnchoredPath", (AnchoredPath,), anchor)
    _called[descriptor] = str(path)
    return kind(path)


def release(path: Path) -> None:
    """Resolve the paths by their names from now on: the descriptor is about to be closed."""
    if isinstance(path, AnchoredPath):
        kind: Any = type(path)
        _called.pop(kind.anchor_descriptor, None)
        kind.anchor_descriptor = -1


_AnyPath = TypeVar("_AnyPath", Path, "Path | None")


def plain(path: _AnyPath) -> _AnyPath:
    """The same path by its name alone, for use elsewhere or for longer than the store is open."""
    return None if path is None else Path(str(path))


def opening(directory: Path) -> tuple[int | None, str]:
    """How to open files in a directory repeatedly, faster than with a `Path`: `dir_fd`, and the prefix of `/NAME`."""
    if isinstance(directory, AnchoredPath) and directory.anchor_descriptor >= 0:
        relative = str(directory)[len(directory.anchor_name) :].lstrip("/")
        return directory.anchor_descriptor, relative or "."
    return None, os.fspath(directory)


def by_name(text: str) -> str:
    """A message of the system, with the user's names for the paths."""
    return _BY_DESCRIPTOR.sub(lambda match: _called.get(int(match[1]), match[0]), text) if "/proc/self/fd/" in text else text
