"""Holding something for the length of a block, whatever a signal's handler raises there.

A generator with `contextlib.contextmanager` is no way to do that: an interrupt on its way in or out leaves it hanging, with the
lock, for as long as somebody keeps the exception. `native/python/holding.h` says more.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from eventlog._native import lib
from eventlog.errors import ConcurrentUseError

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

    class Trying:
        """A block of code that has a lock, if it is to be had: `acquire` says whether it is, and where it is not, `refuse`
        raises. `acquire` and `release` are native."""

        def __init__(
            self, acquire: Callable[[], bool], release: Callable[[], object], refuse: Callable[[], NoReturn], /
        ) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
        ) -> None: ...

else:

    def _made() -> list[Any]:
        made: list[Any] = []
        if not lib.el_new_holding_types(id(made)):
            raise MemoryError("memory ran out while eventlog was imported")
        return made

    [Holding, Trying] = _made()


def check_no_block_interrupted(what: str) -> None:
    """Raise `ConcurrentUseError` where a signal's handler or a finalizer has come in between while this thread holds something:
    to wait for others who wait for that would last for ever."""
    if lib.el_held_blocks() > 0:
        _refuse(what)


def entered_once(lock: Any, what: str) -> Any:
    """An `RLock`, for a block that holds it. Raises `ConcurrentUseError` where this thread has it: a signal's handler or a
    finalizer would find things half done."""
    if lock._is_owned():
        _refuse(what)
    return lock


def _refuse(what: str) -> NoReturn:
    raise ConcurrentUseError(
        f"{what} is not possible inside what this thread is doing: a signal's handler or a finalizer has come in between; let "
        "it set a flag, or raise, and do this once the call has returned"
    )
