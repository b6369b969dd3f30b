"""From another system to a topic: receive, append what is not there yet, flush, and only then acknowledge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.bridge import Bridge
from eventlog.bridges.endpoints import Source
from eventlog.bridges.message import Message
from eventlog.bridges.progress import BridgeProgress
from eventlog.bridges.refused import Refused
from eventlog.log import Log

_RECEIVE_SECONDS = 0.25  # also how long it may take to notice a stop
_ADVICE = "Give the topic a larger max.message.bytes"


class Collect(Bridge):
    """Collects messages into a topic. Created by `EventLog.collect`.

    A message is acknowledged once it is on disk. One that comes again is recognised by what stands in the topic's records, also
    by another bridge, in any process."""

    def __init__(
        self, log: Log, appender: TopicAppender, source: Source, refused: Refused, window_records: int,
        give_up_after: float | None,
    ) -> None:  # fmt: skip
        super().__init__(log, source, BridgeProgress("collect", appender.topic, source.label), give_up_after)
        self._appender = appender
        self._source = source
        self._refused = refused
        self._window_records = window_records
        self._in_flight = 0
        self._depth: int | None = None

    def _prepare(self) -> None:
        """Nothing: the appender reads what the topic has when the first message comes."""

    def _connected(self) -> None:
        self._appender.refresh()

    def _attend(self) -> None:
        """Nothing: nobody waits for this bridge."""

    def _figures(self) -> Mapping[str, Any]:
        return {
            "records": self._appender.appended,
            "bytes": self._appender.bytes,
            "refused": self._refused.count,
            "recognised": self._appender.recognised,
            "in_flight": self._in_flight,
            "depth": self._depth,
        }

    def _work(self, until_idle: float | None) -> None:
        idle_since = time.monotonic()
        while not self._is_stopping:
            messages = self._source.receive(_RECEIVE_SECONDS, self._window_records)
            if messages:
                self._collect(messages)
                self._succeeded()
                idle_since = time.monotonic()
            elif until_idle is not None and time.monotonic() - idle_since >= until_idle:
                return
            if self._is_show_due:
                self._depth = self._source.depth()
                self._show()

    def _collect(self, messages: Sequence[Message]) -> None:
        self._in_flight = len(messages)
        self._appender.append(messages, self._refuse)
        self._appender.flush()
        self._source.acknowledge(messages)
        self._in_flight = 0

    def _refuse(self, message: Message, reason: str) -> None:
        """Before anything behind the message is appended: it is not lost then, whatever happens."""
        must_put_away = self._refused.put_message(
            message.value, message.key, message.headers, message.timestamp, self._source.label, reason, _ADVICE
        )
        self._refused.flush()
        if must_put_away:
            self._source.refuse(message, reason)

    def _finish(self) -> None:
        self._refused.close()
