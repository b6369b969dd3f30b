"""What a program may rely on, whatever keeps its log: a store in a directory fulfils it, and Apache Kafka does.

A function that takes a `contract.Log` works with every implementation. Offsets are `int`, timestamps milliseconds since the
epoch, timeouts seconds (None: without an end), keys and values `bytes` or None. Errors derive from `EventLogError` and are
raised before anything is changed. Implementations may offer more: further methods and options, and further errors for what can
go wrong only there. Where one that is reached over a network cannot promise as much as a store in a directory, the method says
so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from eventlog.clock import Time
    from eventlog.consumer.rebalance import RebalanceListener
    from eventlog.producer.acks import Ack
    from eventlog.records.batch import Headers
    from eventlog.records.record import Record, TopicPartition

_Handle = TypeVar("_Handle")


class _Closable(Protocol):
    """Something that is closed at the end of a `with` block. After that its methods raise `StoreClosedError`."""

    def close(self) -> None:
        """End. A second call does nothing."""

    def __enter__(self: _Handle) -> _Handle: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Topic(Protocol):
    """A topic as it was when it was asked for."""

    @property
    def name(self) -> str:
        """1 to 249 of the characters a-z A-Z 0-9 . _ -"""

    @property
    def partitions(self) -> int:
        """How many partitions it has; their numbers begin at 0."""

    @property
    def config(self) -> Mapping[str, object]:
        """The settings that were given, by Kafka's names."""


class Log(_Closable, Protocol):
    """Topics, and the clients and groups that use them. Safe for several threads; not to be used across fork().

    Closing it closes what was made from it, and puts everything that was appended on disk, unless it was opened otherwise."""

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> Topic:
        """Create a topic with Kafka's topic settings. Raises `TopicExistsError`, `InvalidArgumentError`, `InvalidTypeError`.

        With `exist_ok`, a topic that exists is returned as it is, whatever its partitions and settings. On return every
        client can use it; over a network, within a moment."""

    def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> Topic:
        """Give a topic more partitions, or other settings; a setting that is None goes back to its default.

        Raises `TopicNotFoundError`, `InvalidArgumentError`."""

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records and the offsets that groups have committed for it. Raises `TopicNotFoundError`."""

    def topic(self, name: str) -> Topic:
        """A topic's partitions and settings. Raises `TopicNotFoundError`."""

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""

    def partition(self, topic: str, partition: int) -> Partition:
        """One partition, by its number. Raises `TopicNotFoundError`, `PartitionNotFoundError`."""

    @overload
    def producer(
        self,
        *,
        transactional_id: str,
        transaction_timeout_ms: int = 60_000,
        compression: str | None = None,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> TransactionalProducer:
        """A producer whose records, and the offsets of consumers, become visible in transactions.

        An earlier producer of this id, in any process, is fenced, and its open transaction aborted, as is one that takes longer
        than `transaction_timeout_ms` (at least 1,000). The other options are as below."""

    @overload
    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> Producer:
        """A producer, which may be shared by threads.

        With `linger_ms` records wait that long, or until a partition has `batch_bytes` of them, and are appended together.
        `compression` is "gzip", "snappy", "lz4" or "zstd", and yields to the topic's own `compression.type`. A topic that does
        not exist is created with one partition, unless `auto_create_topics` is False. Raises `InvalidArgumentError`,
        `UnsupportedCodecError`. Without `linger_ms` each record costs a round trip over a network."""

    def consumer(
        self,
        topics: str | Sequence[str] | Pattern[str] | None = None,
        *,
        group: str | None = None,
        auto_offset_reset: str = "earliest",
        auto_commit: bool = False,
        auto_commit_interval_ms: int = 1000,
        assignor: str = "cooperative-sticky",
        instance_id: str | None = None,
        max_poll_interval_ms: int = 300_000,
        session_timeout_ms: int = 45_000,
        durable: bool = False,
        isolation: str = "read_committed",
        listener: RebalanceListener | None = None,
    ) -> Consumer:
        """A consumer of a topic, of several, or of all that match a compiled pattern; for one thread at a time.

        Consumers with the same `group` share the partitions; one without a group reads all. Where nothing was committed it
        begins by `auto_offset_reset`: "earliest", "latest" or "error". A member that does not poll for `max_poll_interval_ms`
        loses its partitions. One that dies is noticed at once where its process can be seen, and over a network after
        `session_timeout_ms`; with an `instance_id` it keeps its partitions that long everywhere. With `durable` only records
        that are durable are read. `isolation` "read_committed" leaves out what belongs to a transaction that was aborted, and
        waits for its end; "read_uncommitted" does not. Raises `InvalidArgumentError`, `InvalidTypeError`."""

    def groups(self) -> list[str]:
        """The names of all consumer groups, sorted."""

    def group(self, name: str) -> Group:
        """A consumer group. Raises `GroupNotFoundError`."""

    def flush(self) -> None:
        """Return once everything that was appended through this log is durable."""


class Partition(Protocol):
    """An append-only sequence of records with offsets from `start_offset` up to, not including, `end_offset`.

    Offsets rise, but not always by one: compaction and the ends of transactions leave gaps. Safe for several threads."""

    @property
    def start_offset(self) -> int:
        """The offset of the first record that is still there."""

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get."""

    @property
    def durable_offset(self) -> int:
        """Records before this offset survive what the log promises to survive: a power cut, or the loss of a broker. It is
        `end_offset` where records become visible only once they are durable, and else follows it."""

    def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int:
        """Append one record and return its offset. `timestamp` None means now. On return every reader sees it.

        With `expected_end_offset` it is appended only if that is the end offset, whoever else appends at this time; otherwise
        `ConflictError` says what the end offset is. A log that cannot check this refuses the argument. A value of None is a
        tombstone: compaction deletes what has the same key before it, and later the tombstone. Raises `RecordTooLargeError`,
        `InvalidTypeError`, `InvalidArgumentError`, `TopicNotFoundError` (deleted meanwhile)."""

    def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        """Append records as one unit and return their offsets, which follow each other. Lists have one item per value.

        All become visible at once. The unit has to fit into one segment, and over a network into one batch of
        `max.message.bytes`. `expected_end_offset` is as for `append`. Raises what `append` raises, and then nothing was
        appended."""

    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """Up to `max_records` records from `offset` on, in order; [] at the end. With `durable` only what is durable.

        Raises `OffsetOutOfRangeError`, `CorruptLogError`."""

    def values(self, start: int | None = None, stop: int | None = None) -> Iterator[bytes | None]:
        """The values of the records from `start` (None: the first) up to `stop` (None: the end as it is now)."""

    def records(self, start: int | None = None, stop: int | None = None) -> Iterator[Record]:
        """The records from `start` (None: the first) up to `stop` (None: the end as it is now)."""

    def offset_for_time(self, timestamp: Time) -> int | None:
        """The offset of the first record with this timestamp or a later one; None if there is none."""

    def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """Block until a record stands at `offset` or behind it (with `durable`: durably); False after `timeout` seconds."""

    def delete_records(self, before: int) -> int:
        """Delete all records before this offset, for every reader; returns the new start offset. Raises
        `OffsetOutOfRangeError`."""

    def flush(self) -> None:
        """Return once everything appended so far, by anybody, is durable."""


class Receipt(Protocol):
    """A record's position in the log."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    @property
    def partition(self) -> int:
        """The partition's number."""

    @property
    def is_resolved(self) -> bool:
        """Is the record in the log? False while it lingers."""

    @property
    def offset(self) -> int:
        """The record's offset. One that lingers is appended now; raises what appending raises."""

    @property
    def timestamp(self) -> int:
        """The record's timestamp."""

    def is_acked(self, group: str) -> bool:
        """Has this group committed past the record? Raises `TopicNotFoundError` if the topic was deleted."""

    def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """Block until this group has committed past the record; False after `timeout` seconds.

        A group that does not exist yet has acknowledged nothing, and may be created while this waits. A store in a directory
        wakes at the commit; over a network a broker has to be asked again and again. Raises `TopicNotFoundError`."""


class Producer(_Closable, Protocol):
    """Sends records to the partitions of any topics. Safe for several threads."""

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """Append one record, at once or after lingering; records that one thread sends to one partition stay in order.

        The partition is the given one; else that of the key, the same that Kafka's clients choose; else all have their turn.
        Raises what `Partition.append` raises, and `PartitionNotFoundError`."""

    def on_ack(self, group: str, callback: Callable[[Ack], object]) -> None:
        """Call `callback` with an `Ack` whenever this group has acknowledged more of what this producer sends from now on.

        The calls come from one background thread, with rising offsets for each partition; several acknowledgements may come as
        one. When the callback raises, it is not called any more, and `flush` or `close` raises its error."""

    def flush(self) -> None:
        """Append what lingers, and return once everything that was sent is durable. Raises what appending raises, for records
        that could not be appended; the call may be repeated."""


class TransactionalProducer(Producer, Protocol):
    """Sends records in transactions. One thread begins and ends them; others may send in between.

    Consumers see the records, and groups the offsets, once `commit` has returned (over a network a moment later), unless they
    ask for uncommitted records. When a newer producer has the same id, everything here raises `ProducerFencedError`.
    `TransactionStateError` says that no transaction is open, or that one is."""

    @property
    def transactional_id(self) -> str:
        """The id."""

    @property
    def is_in_transaction(self) -> bool:
        """Was a transaction begun, and neither committed nor aborted?"""

    def begin(self) -> None:
        """Begin a transaction."""

    def send_offsets(self, consumer: Any, *, group: str | None = None) -> None:
        """Commit the positions of a consumer of this log, one in a group and without auto_commit, together with this
        transaction; or, with `group`, the given offsets, a mapping as for `Consumer.commit`.

        Raises `InvalidArgumentError`, `InvalidTypeError`; and `commit` raises `StaleMemberError` if the consumer has lost the
        partitions by then."""

    def commit(self) -> None:
        """Commit the transaction: on return that is decided for good. Raises what appending raises, and `StaleMemberError`:
        then `abort` is what remains. After `LockTimeoutError` or `UnavailableError` it may be repeated."""

    def abort(self) -> None:
        """Abort the transaction: its records never become visible, and its offsets are not committed. If a commit of it was
        interrupted after it may have been decided, it is completed instead."""

    def transaction(self: _Handle, *consumers: Any) -> AbstractContextManager[_Handle]:
        """A block in which a transaction is open: committed at its end, with the positions of these consumers; aborted if it
        raises, after which they go back to what their groups have committed."""


class Consumer(_Closable, Protocol):
    """Reads topics, alone or as a member of a group. For one thread at a time: another gets `ConcurrentUseError`.

    Closing it leaves the group, so that others have its partitions at once."""

    @property
    def group(self) -> str | None:
        """The group's name; None without one."""

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """Read these topics, or those that match a compiled pattern, also when they are created later. Raises
        `InvalidArgumentError` after `assign`, `InvalidTypeError`."""

    def subscription(self) -> tuple[str, ...]:
        """The topics that this consumer subscribes to, sorted."""

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, without sharing them. Raises `InvalidArgumentError` after `subscribe`,
        `TopicNotFoundError`."""

    def assignment(self) -> set[TopicPartition]:
        """The partitions that are this consumer's now; in a group they are assigned during `poll`."""

    def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """Up to `max_records` records, those of a partition in order; [] when there are none for `timeout` seconds.

        Keeps the membership alive and takes part in rebalances. Raises `OffsetOutOfRangeError` or `NoCommittedOffsetError` with
        auto_offset_reset="error", `CorruptLogError`, `StaleMemberError` when another took over this static member."""

    def __iter__(self) -> Iterator[Record]:
        """One record after the other, without an end."""

    def wakeup(self) -> None:
        """Let the poll that waits, or else the next one, raise `WakeupError`, once. Any thread may call this, and a signal
        handler. No record is lost."""

    def stop(self) -> None:
        """Let each iteration end after the record in hand, and `poll` return [] from now on. Any thread may call this, and a
        signal handler."""

    @property
    def is_stopped(self) -> bool:
        """Was `stop` called?"""

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """Acknowledge everything before the positions, or before the given offset of each partition.

        At once visible to every client. With `sync` it is durable on return; else a store in a directory makes it so within a
        second. Whether a commit may go back is up to the implementation: use `Group.reset` for that. Raises `StaleMemberError`
        if a partition is not this consumer's any more, and then nothing was committed."""

    def rewind(self) -> None:
        """Go back to the committed offsets: the records after them are handed out again. Raises `InvalidArgumentError` without
        a group."""

    def committed(self, partition: TopicPartition) -> int | None:
        """The committed offset of a partition in this consumer's group, whoever committed it; None while there is none."""

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to hand out. Raises `StaleMemberError` if the partition is not this consumer's."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on at this offset, which is the position now. Raises `OffsetOutOfRangeError`, and `StaleMemberError` if the
        partition is not this consumer's."""

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Go on at the first record of these partitions, or of all assigned ones."""

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Go on behind the last record of these partitions, or of all assigned ones."""

    def seek_to_time(self, timestamp: Time, *partitions: TopicPartition) -> None:
        """Go on at the first record with this timestamp or a later one; behind the last where there is none."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Hand out nothing of these partitions, or of all assigned ones, until `resume`."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Hand out records of these partitions again."""

    def paused(self) -> set[TopicPartition]:
        """The partitions that are paused."""


class Group(Protocol):
    """A consumer group by its name. Its methods raise `GroupNotFoundError` once it is deleted."""

    @property
    def name(self) -> str:
        """The group's name."""

    def committed(self) -> dict[TopicPartition, int]:
        """The committed offset of every partition that has one: all records before it are acknowledged."""

    def lag(self) -> dict[TopicPartition, int | None]:
        """How many records each partition has behind the committed offset; None where nothing was committed, unless the
        implementation knows where the group began to read.

        Holds every partition of the topics that live members subscribe to, and every one that the group has begun."""

    def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set committed offsets, forward or back, durably. For a group without live members; a store in a directory fences
        those that there are. Raises `OffsetOutOfRangeError`, `TopicNotFoundError`, `InvalidArgumentError`, and then nothing was
        changed."""

    def delete_offsets(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget the committed offsets of these partitions, durably. Raises `InvalidArgumentError` if a live member has one."""

    def delete(self) -> None:
        """Remove the group with its offsets. Raises `InvalidArgumentError` while it has live members."""
