"""What the other end of a bridge has to do: `Sink` takes records, `Source` has messages.

Rules for both:

- All methods are called from one thread, the bridge's own. An endpoint may have threads besides, for heartbeats for example;
  what goes wrong in them is raised by the next call. While the bridge appends, or waits for other processes, nothing is called
  for up to 30 seconds; otherwise `outcomes` or `receive` is called at least once a second, so heartbeats can be answered there.
- A call takes no longer than the timeout that it was given and a few seconds, or 10 seconds if it has none: it must not hang.
- A temporary failure raises `ConnectionLostError`, a permanent one `BridgeError` (or another `EventLogError`), which ends the
  bridge. Both say what failed and what to do, without secrets. If in doubt, a failure is temporary. After one, the bridge calls
  `close`, waits, and calls `open` of the same object again: everything from before that was not settled is forgotten, and
  delivery tags and the like of the earlier connection are never used.
- `close` may be called at any time, also twice and after a failure; it raises nothing, and takes no longer than 5 seconds.
- `label` is for people: the URL without secrets. `system` names what is at the other end, such as "rabbitmq", once it is open.

An endpoint is made by the function `make_sink(url, context)` of the module `sink`, or `make_source(url, context)` of the module
`source`, in the package of its URL's scheme (`eventlog.bridges.systems`). They check the URL and its options, and import the
client, but do not connect. A missing client is an ordinary `ImportError` there; wrong options are `InvalidArgumentError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from eventlog.bridges.message import Message, Origin
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from eventlog import contract

OpenLog = Callable[[str], "contract.Log"]


class Refusal(NamedTuple):
    """A record that the other system does not take, and would not take if it were sent again: too large, unroutable, rejected.
    `reason` is a sentence for people."""

    record: Record
    reason: str


class Outcomes(NamedTuple):
    """What has become of records that were sent: those that the other system has safely, and those that it refuses. Each was
    sent since `open`, and is in one outcome only. The order does not matter: the bridge commits only up to the first record of
    each partition that is not settled. `fenced` are partitions that another bridge has taken over, as the other system says:
    their records are forgotten, and it is an error only if the group does not say so, too."""

    confirmed: Sequence[Record] = ()
    refused: Sequence[Refusal] = ()
    fenced: Sequence[TopicPartition] = ()


class SinkContext(NamedTuple):
    """What a sink may need: where the records come from; how many records, and bytes, are under way at most; the kind of queue
    or topic to `create` if there is none (None: do not create one; "": the system's default); how to open another log."""

    origin: Origin
    window_records: int
    window_bytes: int
    create: str | None
    open_log: OpenLog


class End(Protocol):
    """The other end of any bridge."""

    @property
    def label(self) -> str:
        """The URL without secrets."""

    @property
    def system(self) -> str:
        """What is at the other end, in one word."""

    def open(self) -> None:
        """Connect, and check that the login is right."""

    def close(self) -> None:
        """Disconnect."""


class Sink(End, Protocol):
    """Takes the records of a topic's partitions, in the order of each partition."""

    def open(self) -> None:
        """Connect, and check that records can be sent: that the login is right and the target exists.

        Called before everything else, and again after each `close` that followed a `ConnectionLostError`. No partition is
        assigned then: `assign` follows."""

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """These partitions are this bridge's from now on, and begin at these offsets, those that the group has committed.

        Returns the offset from which the target lacks records, for each partition of which it knows that: the bridge skips
        those before it, and commits. A target that can fence does so here: what an earlier owner of the partition still sends
        must not take effect after this call, and what it has under way must be decided before the offset is read. Called with
        all partitions again after `open`. Called before any record of the partition is sent."""

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are not this bridge's any more. Their records that are not settled are forgotten: they are either
        sent by their next owner, or the bridge has waited for them before this call. Abort what can be aborted."""

    def room(self) -> int:
        """How many records `send` would take now; 0 while the other system asks to wait. The bridge keeps to the window
        itself; return `window_records` if there is nothing else that limits it."""

    def send(self, records: Sequence[Record]) -> None:
        """Begin to send these, at most `room()` of them, of any assigned partitions. Does not wait for the other system.

        A record that cannot be sent is refused by the next `outcomes`; the others of the call are sent. If this raises
        `ConnectionLostError`, all records that are not settled are sent again after `open`."""

    def outcomes(self, timeout: float) -> Outcomes:
        """What was confirmed or refused since the last call; waits up to `timeout` seconds for the first outcome.

        With a timeout of 0 more records may follow at once. With a larger one nothing more is to be sent at the moment: what a
        sink has gathered to send it together (a batch, a transaction) must be sent off. Also called while nothing is under way.

        If the target knows positions, nothing behind a refused record of its partition may take effect before the next call:
        the position would say that the record is there. The next call comes once the record was put elsewhere. If it stops the
        bridge, only `close` is called."""

    def close(self) -> None:
        """Disconnect. What is not settled is not waited for: the bridge has done so if there was a chance."""


class SourceContext(NamedTuple):
    """What a source may need.

    `position(source, partition)` returns the offset from which on the topic lacks messages of a source that has positions, or
    None if it has none of it: a source begins there when it gets a partition, whatever the other system thinks was
    acknowledged. `partition` is the number that `Message.partition` will have. It may raise what reading raises.

    `topic` is the one that is collected to, `key` how to find a record's key ("routing-key", "message-id", "correlation-id",
    "header:NAME", None: as the system has it), `identity` what tells messages apart ("message-id", "content", "header:NAME",
    "none", None: what is best there), `create` as for a sink. At most `window_records` messages are received before they are
    acknowledged, unless the system needs fewer. `record_bytes_max` is the topic's max.message.bytes."""

    topic: str
    position: Callable[[str, int], int | None]
    key: str | None
    identity: str | None
    create: str | None
    window_records: int
    record_bytes_max: int
    open_log: OpenLog


class Source(End, Protocol):
    """Has messages, which it gives again until they are acknowledged."""

    def open(self) -> None:
        """Connect, check that the source exists, and begin to receive."""

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        """Up to `count_max` messages in the order in which they came; waits up to `timeout` seconds for the first one.

        Attends to the connection also when it returns nothing. Does not return messages of an earlier connection."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """The topic has these durably: the other system need not give them again.

        They are the messages of one `receive`, or its first ones, in order; every message before them was acknowledged or
        refused. Need not wait until the other system has this, but the number of unanswered ones is bounded, and `close` waits
        for them as long as the connection works."""

    def refuse(self, message: Message, reason: str) -> None:
        """The topic cannot take this message: put it where the other system puts those (a dead-letter queue), never back into
        the queue. Raises `BridgeError` if there is no way to do that without losing it."""

    def depth(self) -> int | None:
        """How many messages wait at the other end; None if that is not known, or would take long to find out."""

    def close(self) -> None:
        """Disconnect. What was received but not acknowledged will be given again, to anyone."""
