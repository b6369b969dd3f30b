"""Records to ActiveMQ, in batches that a receipt confirms.

For Classic a batch is a transaction, which takes one flush for all of its messages. What a failure leaves undecided is sent
again: `BATCHES_MAX` batches at most. Artemis drops a message whose `_AMQ_DUPL_ID` it has already, so nothing is there twice;
but in a transaction it would let the whole of it fail, so it gets none.

An ERROR frame does not say which message it is about. So after a failure, the records that were under way are sent again one
at a time, each with a receipt, until the server has answered to all of them: an ERROR then is about the one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from eventlog.bridges.endpoints import Outcomes, Refusal, SinkContext
from eventlog.bridges.stomp.connection import Connection, ErrorFrameError
from eventlog.bridges.stomp.destination import destination_of, is_yes
from eventlog.bridges.stomp.frames import encode_headers
from eventlog.bridges.stomp.mapping import DUPLICATE_ID_HEADER, Outgoing, outgoing
from eventlog.bridges.url import Url
from eventlog.errors import ConnectionLostError, InvalidArgumentError
from eventlog.records.record import Record, TopicPartition

BATCH_RECORDS_MAX = 500
BATCHES_MAX = 2
_BATCH_BYTES_MAX = 4 * 1024 * 1024
_CLASSIC_HEADER_BYTES_MAX = 10 * 1024
_CLASSIC_HEADERS_MAX = 1000
# What a server says that has no room now, or is about to stop: the message is not to blame.
_TEMPORARY = re.compile(r"is full|usage manager|resourceallocation|stopp|shut ?down|disposed|disconnect", re.IGNORECASE)


def make_sink(url: Url, context: SinkContext) -> StompSink:
    """The sink of a `stomp:` or `stomps:` URL. Raises `InvalidArgumentError`."""
    return StompSink(url, context)


class StompSink:
    """A queue or topic of ActiveMQ Classic or Artemis; a `Sink`."""

    def __init__(self, url: Url, context: SinkContext) -> None:
        self.label = str(url)
        self.system = "activemq"
        self._destination = destination_of(url, create=context.create, options={"text", "group-by-key"})
        self._is_text, self._is_grouped = is_yes(url, "text"), is_yes(url, "group-by-key")
        self._origin, self._window_records = context.origin, context.window_records
        self._connection: Connection | None = None
        self._head = b""  # the header lines that all messages have
        self._numbers = itertools.count(1)
        self._gathered: list[tuple[Record, Outgoing]] = []
        self._gathered_bytes = 0
        self._sent: dict[str, list[Record]] = {}  # by the receipt that confirms them, oldest first
        self._refused: list[Refusal] = []
        self._one_by_one = 0  # so many records more

    def open(self) -> None:
        """Connect and log in. Whether the server takes messages for the destination is seen with the first one."""
        self._connection = connection = self._destination.connect()
        self.system = "artemis" if connection.is_artemis else "activemq"
        self._head = encode_headers([*self._destination.headers(connection, "destination-type"), ("persistent", "true")])

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """It is not known what the target has: it cannot be asked."""
        return {}

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the records of these. What was sent cannot be called back."""
        revoked = set(partitions)

        def is_left(record: Record) -> bool:
            return (record.topic, record.partition) not in revoked

        self._gathered = [pair for pair in self._gathered if is_left(pair[0])]
        self._sent = {receipt: [record for record in records if is_left(record)] for receipt, records in self._sent.items()}
        self._refused = [refusal for refusal in self._refused if is_left(refusal.record)]

    def room(self) -> int:
        """Two batches; or one record, after a failure."""
        limit = BATCH_RECORDS_MAX * BATCHES_MAX
        if self._one_by_one:
            limit = 1
        return max(0, min(limit, self._window_records) - self._under_way())

    def send(self, records: Sequence[Record]) -> None:
        """Send what makes a whole batch; the rest waits for more, or for `outcomes`."""
        for record in records:
            message = self._message(record)
            if message is None:
                continue
            self._gathered.append((record, message))
            self._gathered_bytes += len(message.head) + len(message.body)
            if len(self._gathered) >= BATCH_RECORDS_MAX or self._gathered_bytes >= _BATCH_BYTES_MAX or self._one_by_one:
                self._send_gathered()

    def outcomes(self, timeout: float) -> Outcomes:
        """Also sends off what was gathered, if there is a timeout."""
        if timeout > 0:
            self._send_gathered()
        confirmed: list[Record] = []
        try:
            for frame in self._open_connection.exchange(0 if self._refused else timeout):
                if frame.command == "RECEIPT":
                    confirmed += self._confirmed_by(frame.header("receipt-id") or "")
        except ErrorFrameError as error:
            self._blame(error)
        refused, self._refused = self._refused, []
        self._one_by_one = max(0, self._one_by_one - len(confirmed) - len(refused))
        return Outcomes(confirmed, refused)

    def close(self) -> None:
        """Disconnect. What was under way then is sent one by one after the next `open`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._one_by_one = max(self._one_by_one, sum(map(len, self._sent.values())))
        self._gathered, self._gathered_bytes, self._sent, self._refused = [], 0, {}, []

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise ConnectionLostError(f"{self.label} is not connected, or not any more after it has refused a record")
        return self._connection

    def _under_way(self) -> int:
        return len(self._gathered) + sum(map(len, self._sent.values())) + len(self._refused)

    def _message(self, record: Record) -> Outgoing | None:
        """The message for a record; None if the record is refused."""
        try:
            message = outgoing(record, self._origin.message_id(record), is_grouped=self._is_grouped)
        except InvalidArgumentError as error:
            self._refused.append(Refusal(record, str(error)))
            return None
        if self.system == "artemis":
            own_id = encode_headers([(DUPLICATE_ID_HEADER, self._origin.message_id(record))])
            message = message._replace(head=own_id + message.head)
        elif len(message.head) > _CLASSIC_HEADER_BYTES_MAX and (reason := _too_large_for_classic(message.head)):
            # Classic would close the connection without an answer.
            self._refused.append(Refusal(record, reason))
            return None
        if self._is_text and b"\0" not in message.body and _is_text(message.body):
            message = message._replace(is_text=True)
        return message

    def _send_gathered(self) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if not gathered:
            return
        connection, number = self._open_connection, str(next(self._numbers))
        self._sent[number] = [record for record, _ in gathered]
        receipt = b"receipt:%b\n" % number.encode()
        is_transaction = len(gathered) > 1 and not connection.is_artemis
        head = self._head + (b"transaction:%b\n" % number.encode() if is_transaction else b"")
        if is_transaction:
            connection.send("BEGIN", [("transaction", number)])
        *others, last = (message for _, message in gathered)
        for message in others:
            _send(connection, head, message)
        _send(connection, head if is_transaction else head + receipt, last)
        if is_transaction:
            connection.send("COMMIT", [("transaction", number), ("receipt", number)])

    def _confirmed_by(self, receipt: str) -> list[Record]:
        if receipt in self._sent and receipt != next(iter(self._sent)):
            raise ConnectionLostError(f"{self.label} has sent a receipt without the one before it")
        return self._sent.pop(receipt, [])

    def _blame(self, error: ErrorFrameError) -> None:
        """Refuse the record that an ERROR is about, if that is known and the record is the cause; otherwise raise it."""
        under_way = list(itertools.chain.from_iterable(self._sent.values()))
        if not self._one_by_one or len(under_way) != 1 or _TEMPORARY.search(str(error)):
            raise error
        self._refused.append(Refusal(under_way[0], str(error)))
        self._sent.clear()
        self._open_connection.close()
        self._connection = None


def _send(connection: Connection, head: bytes, message: Outgoing) -> None:
    connection.send_raw("SEND", head + message.head, message.body, has_length=not message.is_text)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_large_for_classic(head: bytes) -> str | None:
    lines = head.split(b"\n")
    if len(lines) > _CLASSIC_HEADERS_MAX:
        return f"it has more than {_CLASSIC_HEADERS_MAX} headers, which ActiveMQ Classic does not take"
    longest = max(lines, key=len)
    if len(longest) > _CLASSIC_HEADER_BYTES_MAX:
        name = longest.partition(b":")[0].decode()
        return f"its header {name[:80]!r} is longer than the {_CLASSIC_HEADER_BYTES_MAX} bytes that ActiveMQ Classic takes"
    return None
