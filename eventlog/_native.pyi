"""The C library: `ffi` and `lib` as cffi makes them of `native/eventlog.cdef.h`, and the types of `native/python`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from typing_extensions import Self

from eventlog.clock import Time
from eventlog.errors import EventLogError
from eventlog.producer.partition_sender import PartitionSender
from eventlog.producer.receipt import Receipt
from eventlog.records.batch import Headers
from eventlog.records.record import Record
from eventlog.storage.partition.log import PartitionLog

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

GATHERED_OVERHEAD_BYTES: int

class BaseProducer:
    _catalog_version: int
    _has_notifier: bool
    def __init__(
        self,
        signals: int,
        topics: Mapping[str, PartitionChoice[Any]],
        receipt_type: type[BaseAppendedReceipt] | type[BaseBatchReceipt],
        /,
    ) -> None: ...
    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt: ...

def send_at_once(
    producer: BaseProducer,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: Headers | None,
    partition: int | None,
    timestamp: Time | None,
    /,
) -> Receipt | None: ...

class BasePartitionSender:
    last_offset: int
    _batch: Gathered
    def __init__(self, writer: BaseWriter, /) -> None: ...

_Sender_co = TypeVar("_Sender_co", bound=BasePartitionSender, covariant=True)

class PartitionChoice(Generic[_Sender_co]):
    def __new__(
        cls, senders: tuple[_Sender_co, ...], stay_bytes: int, overhead_bytes: int, least_bytes: int, seed: int, /
    ) -> Self: ...
    @property
    def senders(self) -> tuple[_Sender_co, ...]: ...
    @property
    def current(self) -> int: ...
    @property
    def left_bytes(self) -> int: ...
    def advance(self) -> None: ...
    def count(self, size: int, /) -> None: ...

class BaseAppendedReceipt:
    @property
    def _sender(self) -> PartitionSender: ...
    @property
    def _offset(self) -> int: ...
    @property
    def _timestamp(self) -> int: ...

class BaseBatchReceipt:
    _sender: PartitionSender
    _batch: Gathered
    _index: int
    _timestamp: int | None
    _is_read: bool

class Gathered:
    is_stamped: bool
    loss: EventLogError | None
    bytes_max: int
    record_bytes_max: int
    is_open: bool
    needs_keys: bool
    def __new__(cls, first_offset: int = -1, /) -> Gathered: ...
    @property
    def values(self) -> list[bytes | None]: ...
    @property
    def keys(self) -> list[bytes | None] | None: ...
    @property
    def headers(self) -> list[Headers | None] | None: ...
    @property
    def timestamps(self) -> list[int | None] | None: ...
    @property
    def address(self) -> int: ...
    @property
    def halves(self) -> tuple[int, Gathered, Gathered] | None: ...
    @property
    def count(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def first_offset(self) -> int | None: ...
    def add(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, size: int, /
    ) -> int: ...
    def append(self, writer: BaseWriter, /) -> bool: ...
    def split(self) -> None: ...
    def forget(self) -> None: ...

class BaseOffsetSlot:
    def __init__(self, address: int, /) -> None: ...
    def commit(self, offset: int, /) -> None: ...
    def try_commit(self, offset: int, /) -> bool: ...

class BaseWriter:
    def __init__(self, log: PartitionLog, address: int, owner: object, /) -> None: ...
    def append_at_once(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: Time | None, /
    ) -> int | None: ...

class BasePartition:
    def __init__(self, writer: BaseWriter, idle_readers: Sequence[BaseReader], may_wait: bool, /) -> None: ...
    def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int: ...
    def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        compression: str | None = None,
        expected_end_offset: int | None = None,
    ) -> range: ...
    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]: ...
    def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool: ...

class BaseReader:
    def __init__(
        self, address: int, owner: object, record_type: type[Record], make: object, topic: str, partition: int, /
    ) -> None: ...
    def take(self, records: list[Record], max_records: int, stop_offset: int, /) -> int: ...
    def take_found(
        self,
        query: int,
        accepts: Callable[[bytes], object] | None,
        records: list[Record],
        max_records: int,
        stop_offset: int,
        /,
    ) -> int: ...

class PartitionIterator:
    def __new__(
        cls, reader: BaseReader, load: Callable[[int], bool], stop_offset: int, has_records: bool, /
    ) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...

def arrow_schema(field: tuple[Any, ...], /) -> object: ...
def arrow_array(node: tuple[Any, ...], owner: object, /) -> object: ...
def arrow_stream(field: tuple[Any, ...], next: Callable[[], tuple[Any, object] | None], /) -> object: ...
def pack_lists(
    pack: int,
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None,
    headers: Sequence[Headers | None] | None,
    timestamps: Sequence[int | None] | None,
    now: int,
    encoding: int,
    position: int,
    /,
) -> int: ...
