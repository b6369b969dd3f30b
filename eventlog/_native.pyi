"""The C library: `ffi` and `lib` as cffi makes them of `native/eventlog.cdef.h`, and the types of `native/python`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

_Taken_co = TypeVar("_Taken_co", covariant=True)
_Value_co = TypeVar("_Value_co", covariant=True)

ffi: Any
lib: Any

def held_blocks() -> int: ...

class Holding(Generic[_Taken_co]):
    def __new__(cls, take: Callable[[], _Taken_co], /, *give_back: Callable[[], object]) -> Holding[_Taken_co]: ...
    def __enter__(self) -> _Taken_co: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

class Trying:
    def __new__(
        cls, acquire: Callable[[], bool], release: Callable[[], object], refuse: Callable[[], NoReturn], /
    ) -> Trying: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

class Nested(Generic[_Value_co]):
    def __new__(
        cls, steps: tuple[Callable[[], AbstractContextManager[Any]], ...], make: Callable[[Any], _Value_co] | None, /
    ) -> Nested[_Value_co]: ...
    def __enter__(self) -> _Value_co: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
