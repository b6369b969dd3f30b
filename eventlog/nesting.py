"""Several context managers as one, left in native code, which a signal's handler cannot end half way.

`native/python/nesting.h` says more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eventlog._native import lib

Value = TypeVar("Value", covariant=True)

if TYPE_CHECKING:

    class Nested(Generic[Value]):
        """As its block begins, each of `steps` is asked for a context manager, which is entered; `make` of what the last one
        gave is the block's (None: that itself). As the block ends, or a later step raises, they are left in reverse order.

        Only native ones are safe from interrupts. One written in Python stands before them, and may be left half way."""

        def __init__(
            self, steps: tuple[Callable[[], AbstractContextManager[Any]], ...], make: Callable[[Any], Value] | None, /
        ) -> None: ...
        def __enter__(self) -> Value: ...
        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
        ) -> None: ...

else:

    def _made() -> Any:
        made: list[Any] = []
        if not lib.el_new_nested_type(id(made)):
            raise MemoryError("memory ran out while eventlog was imported")
        return made[0]

    Nested = _made()
