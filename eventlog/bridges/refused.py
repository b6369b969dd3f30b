"""What becomes of records that the other end of a bridge, or a deserializer, does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlog.bridges.message import Headers
from eventlog.consumer.deserializing import Deserializer, Deserializers, drop
from eventlog.errors import BridgeError, DeserializationError, InvalidArgumentError, RecordTooLargeError
from eventlog.logs import logger
from eventlog.options import check_topic_name
from eventlog.records.record import Record

if TYPE_CHECKING:
    from eventlog import contract

STOP = "stop"
DROP = "drop"
DEAD_LETTER = "dead-letter"
_POLICIES = "stop, drop or dead-letter:TOPIC"

_log = logger("bridges")


class Refused:
    """The policy: "stop" the bridge, put the record into a "dead-letter:TOPIC", or "drop" it. The policy "dead-letter" without
    a topic, for a collecting bridge only, leaves the message to the other system, which has queues for these."""

    def __init__(self, log: contract.Log, policy: str, *, may_be_left_there: bool = False) -> None:
        """Raises `InvalidArgumentError`."""
        kind, colon, topic = policy.partition(":") if isinstance(policy, str) else ("", "", "")
        is_dead_letter = kind == DEAD_LETTER and (bool(colon) or may_be_left_there)
        if not is_dead_letter and (kind not in (STOP, DROP) or colon):
            raise InvalidArgumentError(f"the policy for refused records is {policy!r}, but must be {_POLICIES}")
        self.kind = kind
        self.topic = check_topic_name(topic) if colon else None
        self.count = 0
        self._log = log
        self._producer: contract.Producer | None = None

    def put(self, record: Record, by: str, reason: str, advice: str) -> None:
        """Do what the policy says with a record that `by` refuses. After `flush` it is durable. `advice` says how the bridge
        can go on after a stop. Raises `BridgeError` to stop."""
        where = f"{record.topic}/{record.partition} offset {record.offset}"
        self._take(where, by, reason, advice)
        if self.topic is not None:
            origin = (
                ("eventlog.refused.topic", record.topic.encode()),
                ("eventlog.refused.partition", b"%d" % record.partition),
                ("eventlog.refused.offset", b"%d" % record.offset),
            )
            self._append(record.value, record.key, (*record.headers, *origin), record.timestamp, by, reason)

    def put_message(
        self, value: bytes | None, key: bytes | None, headers: Headers, timestamp: int | None, by: str, reason: str, advice: str
    ) -> bool:
        """Do the same with a message from `by`; returns whether the other system has to put it away."""
        self._take("a message", by, reason, advice)
        if self.topic is not None:
            self._append(value, key, headers, timestamp, by, reason)
        return self.kind == DEAD_LETTER and self.topic is None

    def _take(self, what: str, by: str, reason: str, advice: str) -> None:
        if self.kind == STOP:
            raise BridgeError(f"{what} is refused: {reason}. {advice}, or choose what becomes of such records ({_POLICIES})")
        self.count += 1
        if self.kind == DROP:
            _log.warning("bridge %s: %s is refused and was dropped: %s", by, what, reason)

    def _append(
        self, value: bytes | None, key: bytes | None, headers: Headers, timestamp: int | None, by: str, reason: str
    ) -> None:
        assert self.topic is not None
        if self._producer is None:
            self._producer = self._log.producer()
        why = (("eventlog.refused.by", by.encode()), ("eventlog.refused.reason", reason.encode()))
        try:
            self._producer.send(self.topic, value, key, (*headers, *why), timestamp=timestamp)
        except RecordTooLargeError as error:
            raise BridgeError(
                f"a record that is refused ({reason}) does not fit into the dead-letter topic {self.topic!r} either: {error}; "
                "give that topic a larger max.message.bytes"
            ) from error

    def flush(self) -> None:
        """Return once everything that was put into the dead-letter topic is durable."""
        if self._producer is not None:
            self._producer.flush()

    def close(self) -> None:
        """Close what was opened."""
        if self._producer is not None:
            self._producer.close()


def checked_deserializers(
    log: contract.Log, key: Deserializer | None, value: Deserializer | None, refused: str
) -> Deserializers | None:
    """The deserializers of a consumer, None if it has none, with the policy `refused` for what they do not take.

    Raises `InvalidArgumentError`, `InvalidTypeError`."""
    if key is None and value is None:
        if refused != STOP:
            raise InvalidArgumentError("`refused` says what becomes of records that a deserializer refuses: there is none")
        return None
    policy = Refused(log, refused)

    def put_aside(error: DeserializationError) -> None:
        policy.put(error.record, "consumer", str(error), "")
        policy.flush()  # before the consumer can commit a position behind it

    deserializers = Deserializers(key, value, {STOP: None, DROP: drop}.get(policy.kind, put_aside))
    deserializers.check()
    return deserializers
