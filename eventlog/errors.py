"""Every error that eventlog raises, and what the system's errors become; all derive from `EventLogError`.

`import eventlog` imports this module, so it imports as little as it can: what it needs is imported where it is needed.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # type checkers take it for that of `typing`, which takes longer to import than all this
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any, TypeVar

    _Class = TypeVar("_Class", bound=type)
    _Method = TypeVar("_Method", bound=Callable[..., Any])


class EventLogError(Exception):
    """Base of all errors of this library.

    When a consumer raises one while reading, `topic_partition` is the `TopicPartition` that cannot be read. The others can
    still be read, and once this one is paused the error does not recur."""

    topic_partition: Any = None

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_by_name(each) if isinstance(each, str) else each for each in arguments))


def _by_name(text: str) -> str:
    if "/proc/self/fd/" not in text:
        return text
    from eventlog.anchored import by_name

    return by_name(text)


class InvalidArgumentError(EventLogError, ValueError):
    """An argument has a value that cannot be used: a name Kafka would refuse, an unknown setting."""


class InvalidTypeError(EventLogError, TypeError):
    """An argument has the wrong type."""


class NotSupportedError(EventLogError):
    """What this log, or the library behind it, cannot do, though another can. Nothing was changed. The message says why."""


class UnavailableError(EventLogError):
    """A cluster, or the part of it that is needed, did not answer in time. What was asked for may have been done or not, unless
    the message says so."""


class StoreOpenError(EventLogError):
    """The path cannot be opened as a store: a file, not writable, on a network file system, of a newer version."""


class ReadOnlyStoreError(EventLogError):
    """Something was to be changed in a store that is open with mode="r". Nothing was changed."""


class StoreClosedError(EventLogError):
    """The store, or the handle that belongs to it, was closed."""


class StoreReplacedError(EventLogError):
    """The store that was opened is no longer the one at its path: it was deleted, in whole or in part, or another one is there.

    Close the handle and open the store again. Everything acknowledged went to the store that was opened."""

    @classmethod
    def of_part(cls, path: Path) -> StoreReplacedError:
        """A file or a directory of the store is missing, or was replaced."""
        return cls(f"{path} was deleted or replaced while the store was open: close this handle and open the store again")


class ForkedProcessError(EventLogError):
    """A handle was used in a forked child. Open the store again in the child."""


class TopicNotFoundError(EventLogError, LookupError):
    """No topic of this name exists."""


class PartitionNotFoundError(TopicNotFoundError):
    """The topic has no partition of this number."""


class TopicExistsError(EventLogError):
    """A topic of this name already exists."""


class GroupNotFoundError(EventLogError, LookupError):
    """No consumer group of this name exists, or it was deleted."""


class StaleMemberError(EventLogError):
    """A consumer acted for a partition that it no longer owns: another member has it, or the group was reset.

    Nothing was changed. `poll` joins again where possible, and continues from the committed offsets."""


class NoCommittedOffsetError(EventLogError):
    """The group has committed nothing for a partition yet, and auto_offset_reset="error" forbids choosing where to begin."""


class ConcurrentUseError(EventLogError, ValueError):
    """A consumer, an iterator or a batch was used while it was in use: by two threads at once, or again by a finalizer or a
    signal handler that has interrupted its use. Give each thread its own. It is a `ValueError`, as with generators."""


class WakeupError(EventLogError):
    """`wakeup` was called on the consumer that polls. Nothing was lost: the next poll goes on."""


class ThreadStartError(EventLogError, RuntimeError):
    """The system does not let this process start more threads. Nothing was begun. A `RuntimeError`, as `threading` raises
    it."""


class OffsetOutOfRangeError(EventLogError):
    """An offset is before the start or after the end of a partition.

    Attributes: `partition` by its name, `offset`, and `start_offset` and `end_offset` of the partition at that time."""

    def __init__(self, partition: str, offset: int, start_offset: int, end_offset: int) -> None:
        super().__init__(
            f"offset {offset} of {partition} is out of range: it starts at {start_offset} and ends at {end_offset}"
        )
        self.partition = partition
        self.offset = offset
        self.start_offset = start_offset
        self.end_offset = end_offset

    def __reduce__(self) -> tuple[type[OffsetOutOfRangeError], tuple[str, int, int, int], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.partition, self.offset, self.start_offset, self.end_offset), vars(self)


class ConflictError(EventLogError):
    """A conditional append did not find the log as it expected it: others have appended meanwhile. Nothing was appended.

    Attributes: `topic`, `partition`, `expected_end_offset`, and `end_offset`, the actual one at that time. Read what has been
    appended since, decide again, and append with the new end offset."""

    def __init__(self, topic: str, partition: int, expected_end_offset: int, end_offset: int) -> None:
        super().__init__(
            f"{topic}/{partition} ends at offset {end_offset}, not at {expected_end_offset} as this append expects: "
            "nothing was appended"
        )
        self.topic = topic
        self.partition = partition
        self.expected_end_offset = expected_end_offset
        self.end_offset = end_offset

    def __reduce__(self) -> tuple[type[ConflictError], tuple[str, int, int, int], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.topic, self.partition, self.expected_end_offset, self.end_offset), vars(self)


class RecordTooLargeError(EventLogError):
    """A record exceeds the topic's max.message.bytes, or a unit of records its segment.bytes."""


class InvalidBatchError(InvalidArgumentError):
    """A batch that was made elsewhere cannot be stored. Nothing was appended.

    Attributes: `position` of the batch in the given bytes, the number of the wrong `record`, counted from 0, or None, `records`
    (that number, and up to 9,999 of others that are wrong for the same reason), `reason`, and `is_altered`: the checksum does
    not match, so the batch may have been valid when it was sent."""

    def __init__(
        self, position: int, reason: str, record: int | None = None, *, records: Sequence[int] = (), is_altered: bool = False
    ) -> None:
        where = f"batch at byte {position}" if record is None else f"record {record} of the batch at byte {position}"
        super().__init__(f"the {where} cannot be appended: {reason}; nothing was appended")
        self.position = position
        self.reason = reason
        self.record = record
        self.records = tuple(records) if records or record is None else (record,)
        self.is_altered = is_altered

    def __reduce__(self) -> tuple[type[InvalidBatchError], tuple[int, str, int | None], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.position, self.reason, self.record), vars(self)


class CorruptLogError(EventLogError):
    """A file contains bytes that are not what was written.

    Attributes: `path` of the file, `position` in bytes, `reason`. Of a partition's files also `topic` and `partition`, and the
    `offset` from which it cannot be read; each is None if unknown. `command` is the command that helps."""

    def __init__(
        self,
        path: Path,
        position: int,
        reason: str,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
    ) -> None:
        from eventlog.anchored import plain

        self.path = plain(path)
        self.position = position
        self.reason = reason
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.command = self._command()
        super().__init__(self._text())

    def _command(self) -> str:
        return "eventlog verify" if self.topic is None else f"eventlog repair {self.topic}/{self.partition}"

    def _text(self) -> str:
        does = "lists all damage" if self.topic is None else "shows what can be kept"
        return f"{self.path} is damaged at byte {self.position}: {self.reason}{self._where()}; '{self.command}' {does}"

    def _where(self) -> str:
        if self.offset is None or self.topic is None:
            return ""
        return f"; {self.topic}/{self.partition} cannot be read from offset {self.offset} on"

    def without_traceback(self) -> CorruptLogError:
        """An equal error: raising the same object again would extend its traceback each time."""
        kind, arguments, _ = self.__reduce__()
        return kind(*arguments)

    def __reduce__(self) -> tuple[Callable[..., CorruptLogError], tuple[Any, ...], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.path, self.position, self.reason, self.topic, self.partition, self.offset), vars(self)


class UnsupportedFormatError(CorruptLogError):
    """A file contains what this version cannot read: messages that Kafka wrote before 0.11, or batches of a newer format.

    Nothing is damaged, and nothing is cut off or repaired; but reading and appending stop there, as at damage."""

    def _command(self) -> str:
        return "eventlog dump FILE" if self.topic is None else f"eventlog dump {self.topic}/{self.partition}"

    def _text(self) -> str:
        return (
            f"{self.path} cannot be read from byte {self.position} on: {self.reason}{self._where()}. The file is left "
            "unchanged: "
            "rewrite these records with a newer Kafka, or read them with a version of eventlog that knows the format"
        )


class PoisonedError(EventLogError):
    """A write or fsync failed, so it is unknown what is on disk.

    The partition refuses writes until every process has closed it and the next one opens and recovers it."""


class DiskFullError(EventLogError):
    """No space is left, or a quota is exhausted. Nothing was written; the call may be repeated once there is room."""


class LockTimeoutError(EventLogError):
    """Another process held a partition's mutex for too long; it may be stopped. The message names it."""


class ProducerFencedError(EventLogError):
    """A producer's epoch is over: another one uses its transactional id now, or its transaction took longer than its timeout
    and was aborted. Nothing of that transaction becomes visible. Close this producer, and create another one to go on."""


class OutOfOrderSequenceError(EventLogError):
    """An idempotent producer skipped sequence numbers: a batch before this one was lost. Nothing was appended."""


class DuplicateSequenceError(EventLogError):
    """A batch of an idempotent producer was appended before, and the log no longer has it."""


class TransactionStateError(EventLogError):
    """A transaction was used in a wrong way: begun twice, ended without having begun, or a record was sent outside of the one
    that is open. Nothing was changed."""


class CoordinatorFencedError(EventLogError):
    """A transaction was to be ended by a coordinator that another one has replaced. Nothing was appended."""


class BackupError(EventLogError):
    """A backup cannot be taken or restored there, or the directory is not a backup, or an incomplete or damaged one."""


class UnsupportedCodecError(EventLogError):
    """A batch is compressed, or must be, with a codec whose library is not installed, or that this version does not know."""


class SerializationError(EventLogError):
    """A serializer raised an error, or returned something other than bytes. Nothing was sent.

    Attributes: `topic`, and `field`, which is "key" or "value". What the serializer raised is the `__cause__`."""

    def __init__(self, topic: str, field: str, reason: str) -> None:
        super().__init__(f"the {field} of a record for topic {topic!r} cannot be serialized: {reason}")
        self.topic = topic
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type[SerializationError], tuple[str, str, str], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.topic, self.field, self.reason), vars(self)


class DeserializationError(EventLogError):
    """A deserializer raised an error. The consumer's position is the record's offset: `seek` to the next one passes it.

    Attributes: `topic_partition` and `offset` of the record, `field` ("key" or "value"), and `record`, the `Record` with its
    bytes. What the deserializer raised is the `__cause__`."""

    def __init__(self, record: Any, field: str, reason: str) -> None:
        super().__init__(
            f"the {field} of the record at offset {record.offset} of {record.topic}/{record.partition} cannot be deserialized: "
            f"{reason}"
        )
        self.record = record
        self.offset = record.offset
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type[DeserializationError], tuple[Any, str, str], dict[str, Any]]:
        """Recreated in another process, as process pools do."""
        return type(self), (self.record, self.field, self.reason), vars(self)


class BridgeError(EventLogError):
    """A bridge to another system cannot go on, and trying again would not help: a wrong password, a queue that does not exist,
    a record that the other system refuses, a client library that is not installed. Whatever was not acknowledged remains."""


class ConnectionLostError(EventLogError):
    """The other system of a bridge cannot be reached at the moment, or has closed the connection. A bridge tries again."""


def is_disk_full(error_number: int | None) -> bool:
    """Does this errno mean that the disk is full or a quota is exhausted?"""
    return error_number in (errno.ENOSPC, errno.EDQUOT)


def from_os_error(what: str, error: OSError) -> EventLogError:
    """The error of ours for an `OSError`: `DiskFullError` or `EventLogError`, with `what` failed."""
    kind = DiskFullError if is_disk_full(error.errno) else EventLogError
    return kind(f"{what}: {error}{_out_of_files_help() if error.errno == errno.EMFILE else ''}")


class os_errors_as:
    """A block in which an `OSError`, or an error of the types `also`, becomes one of ours: the error that `from_os_error` makes
    of `what`, or, if `what` is a function, the error that it returns.

    It holds nothing, so it need not be native code: an interrupt on its way in or out leaves nothing behind."""

    def __init__(self, what: str | Callable[[Any], EventLogError], *, also: tuple[type[Exception], ...] = ()) -> None:
        self._what = what
        self._types: tuple[type[Exception], ...] = (OSError, *also)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self._types):
            failure: Any = error
            what = self._what
            raise (from_os_error(what, failure) if isinstance(what, str) else what(failure)) from error


def is_out_of_files(error: EventLogError) -> bool:
    """Does it say that this process may open no more files?"""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EMFILE


def _out_of_files_help() -> str:
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # its own file cannot be opened either
        return "; a partition in use takes 4"
    limit, hard_limit = getrlimit(RLIMIT_NOFILE)
    return f"; this process may have {limit} open, and a partition in use takes 4: 'ulimit -n {hard_limit}' raises the limit"


def raise_together(failures: Sequence[BaseException]) -> None:
    """Raise the first of these, if there is one, with a note about each of the others (PEP 678; tracebacks show notes from
    Python 3.11 on)."""
    if failures:
        first, *others = failures
        vars(first).setdefault("__notes__", []).extend(f"also: {type(each).__name__}: {each}" for each in others)
        raise first


def translates_os_errors(*without: str) -> Callable[[_Class], _Class]:
    """Translate an `OSError` in any public method of a class, or in its constructor, as `os_errors_as(repr(self))` does.

    Methods named in `without` are left alone: they call a user's functions, whose errors are the user's.

    Any system call may fail, on any disk that fails or fills. Where more can be said about a failure, or something has to be
    done about it, that happens where the call is made."""

    from types import FunctionType

    def covered(kind: _Class) -> _Class:
        for name, method in list(vars(kind).items()):
            known_as = method.__name__ if isinstance(method, FunctionType) else "_"
            is_public = name == "__init__" or not (name.startswith("__") or known_as.startswith("_"))
            if is_public and name not in without:
                setattr(kind, name, _translating(method))
        return kind

    return covered


def _translating(method: Callable[..., Any]) -> Callable[..., Any]:
    from functools import wraps

    @wraps(method)
    def translated(self: Any, *arguments: Any, **options: Any) -> Any:
        try:  # not by `os_errors_as`: this costs nothing where nothing fails
            return method(self, *arguments, **options)
        except OSError as error:
            raise from_os_error(repr(self), error) from error

    return translated


def stands_in_for(method: Any) -> Callable[[_Method], _Method]:
    """Let a call that fails be told as one of the native `method`, in place of which native code calls this one."""

    def named(own: _Method) -> _Method:
        own.__name__ = method.__name__
        own.__qualname__ = f"{own.__qualname__.split('.')[0]}.{method.__name__}"
        return own

    return named
