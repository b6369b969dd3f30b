"""Produce requests for one batch that is appended without waiting for anything: no task, and few objects.

Everything else, an error included, is left to `produce.py`, which answers all requests.
"""

from __future__ import annotations

from eventlog.errors import EventLogError
from eventlog.records.produce_request import SingleProduce
from eventlog.records.record import TopicPartition
from eventlog.serve.broker import Broker
from eventlog.serve.coordinator.transactional_appends import KnownTransactions
from eventlog.storage.partition.produce_loop import ProduceLoop
from eventlog.transactions.states import Identity

_ALL_REPLICAS, _NONE, _LEADER = -1, 0, 1


class SingleProduces:
    """Appends on the event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._request = SingleProduce()
        self._transactions = KnownTransactions(broker.log)
        self.loop = ProduceLoop()
        broker.when_topics_change = self.loop.clear

    def answer_all(self, requests: memoryview, request_bytes_max: int) -> bytes:
        """Answer those at the start of a buffer, each with its length, that are for partitions that were used just now;
        `loop` has how many they were."""
        answers = self.loop.answer(requests, request_bytes_max)
        waiting = self._broker.waiting_fetches
        if waiting.are_any:
            for log in self.loop.appended():
                waiting.appended(log.topic, log.partition)
        return answers

    @property
    def is_ready(self) -> bool:
        """Are the topics known as they are now?"""
        return self._broker.topics.is_current

    def answer(self, frame: memoryview) -> bytes | None:
        """The frame of the answer, empty if the client wants none. None: nothing was appended."""
        request, topics = self._request, self._broker.topics
        if not request.read(frame) or not topics.is_current or request.acks not in (_ALL_REPLICAS, _NONE, _LEADER):
            return None
        name = request.topic
        topic = topics.by_id.get(name) if request.has_topic_id else topics.by_name.get(name.decode(errors="replace"))
        if topic is None:
            return None
        append = self._append_in_transaction if request.is_transactional else self._append
        appended = append(topic.name)
        if appended is None:
            return None
        return request.answer(*appended) if request.acks else b""

    def _append(self, topic: str) -> tuple[int, int, int] | None:
        request = self._request
        try:
            appended = self._broker.appends.append_at_once(topic, request.partition, request.batch)
        except EventLogError:
            return None
        log = self._broker.partitions.find(topic, request.partition)
        if appended is not None and log is not None and not request.is_transactional:
            self.loop.add(request.topic, is_id=request.has_topic_id, log=log)
        return appended

    def _append_in_transaction(self, topic: str) -> tuple[int, int, int] | None:
        """Append a batch if the catalog says, before and afterwards, that it belongs to an open transaction."""
        request, where = self._request, TopicPartition(topic, self._request.partition)
        if request.transactional_id is None:
            return None
        producer = Identity(request.transactional_id.decode(errors="replace"), *request.producer)
        if not self._transactions.may_append(producer, where):
            return None
        appended = self._append(topic)
        if appended is not None and not self._transactions.may_append(producer, where):  # it was ended in between
            self._broker.start_in_thread(lambda: self._abort_hanging(where))
            return None
        return appended

    def _abort_hanging(self, partition: TopicPartition) -> None:
        log = self._broker.partitions.open(*partition)
        self._broker.log.open_transactions.coordinator.abort_hanging(log)
