"""Fetch: batches from given offsets on, immediately or when they are appended."""

from __future__ import annotations

import asyncio
from typing import Any

from eventlog.errors import EventLogError, OffsetOutOfRangeError, StoreClosedError
from eventlog.serve.broker import Broker, Client, Turn
from eventlog.serve.epochs import NO_EPOCH, end_of_epoch
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.serve.reading import empty_batch, read_batches
from eventlog.storage.partition.log import PartitionLog

_WITH_IDS = 13
_ANSWER_BYTES_MAX = 4 * 1024 * 1024  # of records; a client that wants more asks again
_SMALL_ANSWER_BYTES_MAX = 64 * 1024  # no more than each connection has as its buffer for requests
_WAIT_MS_MAX = 24 * 3600 * 1000
_READ_COMMITTED = 1


async def answer_fetch(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Wait for `min_bytes` of records, but at most `max_wait_ms`, and answer with the records that exist."""
    try:
        session, is_incremental = broker.fetch_sessions.begin(client, version, request)
    except RefusedError as error:
        return kind("FetchResponse")(error_code=code_of(error))
    await broker.topics.refresh()
    fetch = _Fetch(broker, version, request)
    turn = Turn(broker.answers_with_records)
    client.when_sent(turn.end)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(max(0, request.max_wait_ms), _WAIT_MS_MAX) / 1000
    while True:
        await fetch.read(turn)
        if fetch.is_enough or loop.time() >= deadline or client.is_gone():
            responses = fetch.responses()
            if session is not None:
                news = session.note(responses)
                responses = news if is_incremental else responses
            return kind("FetchResponse")(session_id=0 if session is None else session.id, responses=responses)
        turn.end()
        if not await fetch.wait(deadline - loop.time()):
            deadline = 0.0  # the server stops: answer with the records that exist now


def _aborted_transaction(**fields: int) -> Any:
    return kind("FetchResponse", "AbortedTransaction")(**fields)


class _Partition:
    """A partition in a request, and its entry in the answer."""

    def __init__(self, wanted: Any, topic: str | None, refusal: RefusedError | None, *, is_committed: bool) -> None:
        self.wanted = wanted
        self._is_committed = is_committed  # only records of transactions that have ended
        self.topic = topic
        self.log: PartitionLog | None = None
        self.next_offset = wanted.fetch_offset
        self._unstable_end: int | None = None  # the end of the log, if the client may not read up to there
        self.is_full = False  # it has more records than the answer may contain
        self.has_diverged = False  # the client has read what is not in the log any more
        self.entry = kind("FetchResponse", "PartitionData")(partition_index=wanted.partition, high_watermark=-1, records=b"")
        if refusal is not None:
            self.entry.error_code = refusal.code

    def read_at_once(self, broker: Broker, bytes_max: int) -> int | None:
        """Read on the event loop, if all that the client may read fits in `bytes_max` and is in memory, and return the number
        of bytes. None: nothing is known yet."""
        log = None if self.topic is None else broker.partitions.find(self.topic, self.wanted.partition)
        if log is None or self.wanted.current_leader_epoch not in (NO_EPOCH, log.leader_epochs[-1][0]):
            return None
        if self.wanted.last_fetched_epoch != NO_EPOCH:
            return None
        stop, offset = self._tell_bounds(log), self.wanted.fetch_offset
        if not self.entry.log_start_offset <= offset <= stop or (self._is_committed and log.has_aborted):
            return None
        data = b"" if stop == offset else log.read_at_once(offset, stop, min(bytes_max, self.wanted.partition_max_bytes))
        if data is None:
            return None
        self.log, self.entry.records, self.next_offset = log, data, stop
        return len(data)

    def _tell_bounds(self, log: PartitionLog) -> int:
        """Fill in where the log starts and ends; returns the offset up to which the client may read."""
        entry = self.entry
        entry.log_start_offset = log.start_offset
        end = log.end_offset
        stable = log.stable_offset  # read last: if it is before this end, only an append behind this end can change that
        entry.high_watermark, entry.last_stable_offset = max(end, stable), stable
        stop = stable if self._is_committed else end
        self._unstable_end = end if stop < end else None
        return stop

    @property
    def awaited_offset(self) -> int:
        """With a record or a marker at this offset, there may be more to read."""
        return self.next_offset if self._unstable_end is None else self._unstable_end

    def read(self, broker: Broker, bytes_max: int, *, at_least_one: bool) -> int:
        """Read, in a thread, and return the number of bytes; a failure is recorded in the entry."""
        if self.topic is None:
            return 0
        entry = self.entry
        entry.records = b""
        try:
            log = self.log = broker.partitions.open(self.topic, self.wanted.partition)
            end = self._tell_bounds(log)
            number, known = self.wanted.partition, self.wanted.current_leader_epoch
            broker.epochs.check(broker.topic(self.topic, b"", by_id=False), number, log.leader_epochs, known)
            if self._has_diverged(log):
                return 0
            log.check_offset(self.wanted.fetch_offset)
            found = read_batches(log, self.wanted.fetch_offset, end, bytes_max, at_least_one=at_least_one)
        except (EventLogError, OSError, RefusedError) as error:
            entry.error_code = code_of(error)
            return 0
        offset = self.wanted.fetch_offset
        entry.records, self.next_offset = found.data, max(found.next_offset, offset)
        if not found.data and self.next_offset > offset:
            entry.records = empty_batch(offset, self.next_offset)
        self.is_full = self.next_offset < end
        if self._is_committed:
            entry.aborted_transactions = [
                _aborted_transaction(producer_id=each.producer_id, first_offset=each.first_offset)
                for each in log.aborted(offset, self.next_offset)
            ]
        return len(entry.records)


    def _has_diverged(self, log: PartitionLog) -> bool:
        """Has the client read records that are not in the log any more? Then the answer says where they ended (KIP-595)."""
        epoch, offset = self.wanted.last_fetched_epoch, self.wanted.fetch_offset
        if epoch == NO_EPOCH:
            return False
        last, end = end_of_epoch(log.leader_epochs, epoch, log.end_offset)
        if last == NO_EPOCH or offset < log.start_offset:
            raise OffsetOutOfRangeError(str(log), offset, log.start_offset, log.end_offset)
        self.has_diverged = last < epoch or end < offset
        if self.has_diverged:
            self.entry.diverging_epoch = kind("FetchResponse", "EpochEndOffset")(epoch=last, end_offset=end)
        return self.has_diverged


class _Fetch:
    def __init__(self, broker: Broker, version: int, request: Any) -> None:
        self._broker = broker
        self._request = request
        self._bytes = 0
        self._topics: list[tuple[Any, list[_Partition]]] = []
        is_committed = request.isolation_level == _READ_COMMITTED
        for wanted in request.topics:
            name, refusal = None, None
            try:
                name = broker.topic(wanted.topic, wanted.topic_id, by_id=version >= _WITH_IDS).name
            except RefusedError as error:
                refusal = error
            partitions = [_Partition(each, name, refusal, is_committed=is_committed) for each in wanted.partitions]
            self._topics.append((wanted, partitions))
        self._partitions = [partition for _, partitions in self._topics for partition in partitions]

    async def read(self, turn: Turn) -> None:
        """Read the records that exist; in a thread, unless they are in memory."""
        if self._read_at_once():
            return
        if not turn.is_free:  # clients that do not read their answers hold the slots: a small answer needs none
            await self._broker.in_thread(lambda: self._read(_SMALL_ANSWER_BYTES_MAX, at_least_one=False))
            if self._bytes > 0 or not any(partition.is_full for partition in self._partitions):
                return
        await turn.begin()
        await self._broker.in_thread(lambda: self._read(_ANSWER_BYTES_MAX, at_least_one=True))

    def _read_at_once(self) -> bool:
        left = min(self._request.max_bytes, _SMALL_ANSWER_BYTES_MAX)
        read = 0
        for partition in self._partitions:
            count = partition.read_at_once(self._broker, left - read)
            if count is None:
                return False
            read += count
        self._bytes = read
        return True

    def _read(self, bytes_max: int, *, at_least_one: bool) -> None:
        left = min(max(0, self._request.max_bytes), bytes_max)
        self._bytes = 0
        for partition in self._partitions:
            bytes_max = min(max(0, partition.wanted.partition_max_bytes), left)
            count = partition.read(self._broker, bytes_max, at_least_one=at_least_one and self._bytes == 0)
            self._bytes += count
            left = max(0, left - count)

    @property
    def _waiting(self) -> list[_Partition]:
        return [partition for partition in self._partitions if not partition.is_full]

    @property
    def is_enough(self) -> bool:
        """Are there as many bytes as the client waits for, or as the answer may contain, or an error, which is sent at once?"""
        has_failed = any(partition.entry.error_code or partition.has_diverged for partition in self._partitions)
        bytes_min = min(self._request.min_bytes, self._request.max_bytes, _ANSWER_BYTES_MAX)
        return has_failed or self._bytes >= bytes_min or not self._waiting

    async def wait(self, seconds: float) -> bool:
        """Sleep until a partition has more records, but at most `seconds`, and at most a second. False if the server stops."""
        awaited = [(each.log, each.awaited_offset) for each in self._waiting if each.log is not None]
        try:
            await self._broker.waiting_fetches.wait(awaited, max(0.0, seconds))
        except StoreClosedError:
            return False
        return True

    def responses(self) -> list[Any]:
        """The entries of the answer."""
        entry = kind("FetchResponse", "FetchableTopicResponse")
        return [
            entry(topic=wanted.topic, topic_id=wanted.topic_id, partitions=[each.entry for each in partitions])
            for wanted, partitions in self._topics
        ]
