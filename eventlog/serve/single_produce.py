"""Produce requests for one batch that is appended without waiting for anything: no task, and few objects.

Everything else, an error included, is left to `produce.py`, which answers all requests.
"""

from __future__ import annotations

from eventlog.errors import EventLogError
from eventlog.records.produce_request import SingleProduce
from eventlog.serve.broker import Broker

_ALL_REPLICAS, _NONE, _LEADER = -1, 0, 1


class SingleProduces:
    """Appends on the event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._request = SingleProduce()

    def answer(self, frame: memoryview) -> bytes | None:
        """The frame of the answer, empty if the client wants none. None: nothing was appended."""
        request, topics = self._request, self._broker.topics
        if not request.read(frame) or not topics.is_current or request.acks not in (_ALL_REPLICAS, _NONE, _LEADER):
            return None
        name = request.topic
        topic = topics.by_id.get(name) if request.has_topic_id else topics.by_name.get(name.decode(errors="replace"))
        if topic is None:
            return None
        try:
            appended = self._broker.appends.append_at_once(topic.name, request.partition, request.batch)
        except EventLogError:
            return None
        if appended is None:
            return None
        return request.answer(*appended) if request.acks else b""
