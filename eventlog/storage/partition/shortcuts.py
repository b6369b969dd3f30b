"""Built-in functions in front of methods that programs call again and again (`native/python/functions.h`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog._native import ffi


def put_in_front(
    owner: Any, method: Callable[..., Any], new_function: Callable[[int, int], int], native: Any, *what_it_needs: Any
) -> None:
    """Let a built-in function be called instead of a method of `owner`: it calls the method for all that is not plain, and
    always once the native appender is retired, because the partition was closed or the process forked."""
    made: list[Any] = []
    state = (int(ffi.cast("uintptr_t", native)), method, *what_it_needs, native)
    if not new_function(id(made), id(state)):
        raise MemoryError("memory ran out while a partition was opened")
    vars(owner)[method.__name__] = made[0]
