"""What fulfils the contract. To test another implementation, add a function here that opens it.

The function gets an empty directory for what the implementation has to keep, and gives a context with an open log. It is called
more than once with the same directory: then it gives another client of the same log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import eventlog
from eventlog import contract
from tests.contract import another_process


class Implementation(NamedTuple):
    """Something that fulfils the contract. `calls_back` says that functions can be handed to it."""

    name: str
    open: Callable[[Path], AbstractContextManager[contract.Log]]
    calls_back: bool = True


@contextmanager
def _directory(path: Path, *, fsync: str) -> Iterator[contract.Log]:
    with eventlog.open(path / "store", fsync=fsync) as log:
        yield log  # mypy checks here that the classes fulfil the contract


def _another_process(path: Path) -> AbstractContextManager[contract.Log]:
    return another_process.open_there(path / "store")


IMPLEMENTATIONS = [
    Implementation("directory, fsync=always", partial(_directory, fsync="always")),
    Implementation("directory, fsync=interval", partial(_directory, fsync="interval")),
    Implementation("directory, fsync=never", partial(_directory, fsync="never")),
    Implementation("another process", _another_process, calls_back=False),
]
