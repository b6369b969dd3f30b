"""Holding something for the length of a block, whatever a signal's handler raises there.

A generator with `contextlib.contextmanager` is no way to do that: an interrupt on its way in or out leaves it hanging, with the
lock, for as long as somebody keeps the exception. `native/python/holding.h` says more.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eventlog._native import lib

Taken = TypeVar("Taken", covariant=True)

if TYPE_CHECKING:

    class Holding(Generic[Taken]):
        """A block of code that holds what `take` has taken: its answer is the block's.

        Each `give_back` is called as the block ends, however that comes, and also when `take` raises: it knows whether there
        is anything to give back. It must be native code, such as a `functools.partial` of a function of the C library: Python
        code could be interrupted before it does anything. None of them raises."""

        def __init__(self, take: Callable[[], Taken], /, *give_back: Callable[[], object]) -> None: ...
        def __enter__(self) -> Taken: ...
        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
        ) -> None: ...

else:

    def _made() -> Any:
        made: list[Any] = []
        if not lib.el_new_holding_type(id(made)):
            raise MemoryError("memory ran out while eventlog was imported")
        return made[0]

    Holding = _made()
