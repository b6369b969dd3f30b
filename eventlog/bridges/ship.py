"""From a topic to another system: a member of a consumer group that commits what the other system has confirmed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog.bridges.bridge import Bridge
from eventlog.bridges.endpoints import Outcomes, Sink
from eventlog.bridges.progress import BridgeProgress
from eventlog.bridges.refused import Refused
from eventlog.bridges.topics import topic_id
from eventlog.bridges.window import Window
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import BridgeError, ConnectionLostError, EventLogError, StaleMemberError
from eventlog.log import Log
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlog.consumer.consumer import Consumer

    MakeConsumer = Callable[[RebalanceListener], Consumer]

_POLL_SECONDS = 0.25  # while nothing is under way; also how long it may take to notice a stop
_OUTCOME_SECONDS = 0.02  # while records may come that could be sent
_FULL_SECONDS = 0.5
_DRAIN_SECONDS = 10.0  # for the outcomes of what was sent, when the bridge ends
_RIVAL_SECONDS = 60.0  # a bridge that fences a partition again so soon has not lost it
_REVOKED_SECONDS = 5.0  # the same, when a partition goes to another member, who waits


class ShipOptions(NamedTuple):
    """How a ship works: the group that it is a member of, how much it has under way at most, and after how many seconds without
    success it gives up. `topic_id` is what the other end knows the topic by, as `Origin.id`."""

    group: str
    window_records: int
    window_bytes: int
    give_up_after: float | None
    topic_id: str


class Ship(Bridge):
    """Ships the records of a topic. Created by `EventLog.ship`.

    A member of its group like any other: several share the partitions, and the group's lag is what is not shipped. A record is
    committed once the other system has it, and all records before it in its partition."""

    def __init__(
        self, log: Log, topic: str, sink: Sink, make_consumer: MakeConsumer, refused: Refused, options: ShipOptions
    ) -> None:
        super().__init__(log, sink, BridgeProgress("ship", topic, sink.label, group=options.group), options.give_up_after)
        self._topic = topic
        self._sink = sink
        self._make_consumer = make_consumer
        self._refused = refused
        self._group = options.group
        self._topic_id = options.topic_id
        self._window = Window(topic, options.window_records, options.window_bytes)
        self._consumer: Consumer | None = None
        self._owned: set[TopicPartition] = set()
        self._unassigned: set[TopicPartition] = set()  # owned, and not assigned to the sink
        self._is_halted = False
        self._fenced: dict[TopicPartition, float] = {}  # since when another bridge has these, as the other system says
        self._taken_back: dict[TopicPartition, float] = {}
        self._interruption: ConnectionLostError | None = None  # in the middle of a poll
        self._shipped = self._shipped_bytes = self._recognised = 0

    # --- what the base asks for ---------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._consumer = self._make_consumer(_Listener(self))

    def _connected(self) -> None:
        self._unassigned = set(self._owned)
        self._interruption = None
        self._window.send_again()

    def _attend(self) -> None:
        self._member.core.attend()

    @property
    def _member(self) -> Consumer:
        assert self._consumer is not None
        return self._consumer

    def _figures(self) -> Mapping[str, Any]:
        membership = self._consumer.core.role.membership if self._consumer is not None else None
        return {
            "records": self._shipped,
            "bytes": self._shipped_bytes,
            "refused": self._refused.count,
            "recognised": self._recognised,
            "in_flight": self._window.in_flight,
            "member": membership.member.epoch if membership is not None and membership.has_joined else None,
        }

    # --- one connection -----------------------------------------------------------------------------------

    def _work(self, until_idle: float | None) -> None:
        idle_since = time.monotonic()
        while not self._is_stopping:
            was_idle = not self._window
            polled = self._poll()
            self._assign()
            self._send()
            self._settle(self._sink.outcomes(self._patience(polled)))
            self._commit()
            self._check_fenced()
            self._show()
            if polled or self._window or self._fenced or self._unassigned or not was_idle:
                idle_since = time.monotonic()
            elif until_idle is not None and time.monotonic() - idle_since >= until_idle:
                return

    def _poll(self) -> int:
        """Poll as many records as there is room for; returns their number."""
        room = 0 if self._window.has_unsent else self._window.room
        if room:
            records = self._member.poll(0 if self._window else _POLL_SECONDS, max_records=room)
            self._window.add(records if not self._fenced else [each for each in records if each[:2] not in self._fenced])
        else:
            records = []
            self._attend()
        if self._interruption is not None:
            raise self._interruption
        return len(records)

    def _patience(self, polled: int) -> float:
        """How long to wait for outcomes: not at all while there is more to send at once."""
        if not self._window:
            return 0
        if self._window.room == 0:
            return _FULL_SECONDS
        return 0 if polled and self._has_more() else _OUTCOME_SECONDS

    def _has_more(self) -> bool:
        member = self._member
        return any(member.position(each) < self._log.partition(*each).end_offset for each in self._owned)

    def _send(self) -> None:
        while self._window.has_unsent:
            room = self._sink.room()
            if room <= 0:
                return
            self._sink.send(self._window.take(room))

    # --- outcomes -----------------------------------------------------------------------------------------

    def _settle(self, outcomes: Outcomes) -> None:
        if outcomes.confirmed:
            self._window.settle(outcomes.confirmed)
            self._shipped += len(outcomes.confirmed)
            self._shipped_bytes += sum(len(each.value or b"") + len(each.key or b"") for each in outcomes.confirmed)
            self._succeeded()
        self._is_halted = bool(outcomes.refused)  # until they are taken care of
        for refusal in outcomes.refused:
            self._refused.put(refusal.record, self._sink.label, refusal.reason, self._advice(refusal.record))
        if outcomes.refused:
            self._refused.flush()
            self._window.settle([refusal.record for refusal in outcomes.refused])
            self._is_halted = False
        for partition in outcomes.fenced:
            self._window.forget([partition])
            self._fenced.setdefault(partition, time.monotonic())

    def _advice(self, record: Record) -> str:
        return (
            f"Skip it with 'eventlog groups reset {self._group} --topic {record.topic}:{record.partition} "
            f"--to {record.offset + 1} --execute'"
        )

    def _commit(self) -> None:
        """Commit what is settled. If a partition was lost meanwhile, nothing is committed now, and the next poll says so."""
        if self._window or self._fenced:
            self._commit_settled()
        else:
            with suppress(StaleMemberError):
                self._member.commit()  # everything that was polled, with the gaps that follow the last records

    def _commit_settled(self, *, sync: bool = False) -> None:
        offsets = {each: offset for each, offset in self._window.to_commit().items() if each in self._owned}
        if offsets:
            with suppress(StaleMemberError):
                self._member.commit(offsets, sync=sync)
                self._window.committed(offsets)

    # --- partitions ---------------------------------------------------------------------------------------

    def took(self, partitions: Sequence[TopicPartition]) -> None:
        """The group has given this bridge partitions."""
        self._owned.update(partitions)
        self._unassigned.update(partitions)

    def must_give_up(self, partitions: Sequence[TopicPartition]) -> None:
        """Others wait for these partitions: what was sent of them is awaited for a moment, so that it is not sent twice."""
        self._window.drop_unsent(partitions)
        deadline = time.monotonic() + _REVOKED_SECONDS
        try:
            with suppress(ConnectionLostError):
                while self._may_settle() and self._window.has(partitions) and time.monotonic() < deadline:
                    self._settle(self._sink.outcomes(_POLL_SECONDS))
            self._commit_settled()
        finally:
            self.has_lost(partitions)

    def has_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions belong to others."""
        self._owned.difference_update(partitions)
        self._unassigned.difference_update(partitions)
        for partition in partitions:
            self._fenced.pop(partition, None)
        self._window.forget(partitions)
        if self._may_settle():
            try:
                self._sink.revoke(partitions)
            except ConnectionLostError as error:
                self._interruption = error

    def _may_settle(self) -> bool:
        return self._is_connected and self._interruption is None and not self._is_halted

    def _assign(self) -> None:
        """Tell the sink of new partitions, and skip what the other system has of them already."""
        if not self._unassigned:
            return
        self._check_topic()
        starts = {each: self._start(each) for each in self._unassigned}
        for partition, offset in self._sink.assign(starts).items():
            self._skip_to(partition, offset)
        self._unassigned.clear()
        self._note()

    def _check_topic(self) -> None:
        """What the other end has of a topic that was deleted must not count for the one that has its name now."""
        if topic_id(self._log.topic(self._topic)) != self._topic_id:
            raise BridgeError(
                f"topic {self._topic!r} was deleted and created again: {self._sink.label} would take its records for those of "
                "the former one. Start the bridge again"
            )

    def _start(self, partition: TopicPartition) -> int:
        committed = self._member.committed(partition)
        return self._log.partition(*partition).start_offset if committed is None else committed

    def _skip_to(self, partition: TopicPartition, offset: int) -> None:
        end_offset = self._log.partition(*partition).end_offset
        if offset > end_offset:
            raise BridgeError(
                f"{self._sink.label} has the records of {partition} up to offset {offset}, but the partition ends at "
                f"{end_offset}: it has lost records, or was restored from an older backup. Ship it to another target"
            )
        self._recognised += self._window.settle_before(partition, offset)
        if self._member.position(partition) < offset:
            self._member.seek(partition, offset)

    def _check_fenced(self) -> None:
        """A partition that another bridge sends from must not be this bridge's for long, unless that one was stopped, and did
        not know when it went on that the group had replaced it: then it is taken back."""
        now = time.monotonic()
        for partition, since in list(self._fenced.items()):
            if now - since <= _REVOKED_SECONDS:
                continue
            if now - self._taken_back.get(partition, -math.inf) <= _RIVAL_SECONDS:
                raise BridgeError(
                    f"another bridge ships {partition} to {self._sink.label}, but is not a member of group {self._group!r} of "
                    "this store: stop one of them, or give it a group of its own"
                )
            self._taken_back[partition] = now
            del self._fenced[partition]
            self._member.seek(partition, self._start(partition))
            self._unassigned.add(partition)

    # --- the end ------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Wait for what was sent, commit it, and leave the group."""
        self._window.drop_unsent()
        try:
            if self._consumer is not None:
                self._drain()
                with suppress(EventLogError):
                    self._commit_settled(sync=True)
        finally:
            self._disconnect()
            self._refused.close()
            if self._consumer is not None:
                with suppress(EventLogError):
                    self._consumer.close()

    def _drain(self) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        with suppress(EventLogError):  # what was not confirmed is sent again by the next bridge
            while self._may_settle() and self._window and time.monotonic() < deadline:
                self._settle(self._sink.outcomes(_POLL_SECONDS))


class _Listener(RebalanceListener):
    def __init__(self, ship: Ship) -> None:
        self._ship = ship

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._ship.took(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._ship.must_give_up(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._ship.has_lost(partitions)
