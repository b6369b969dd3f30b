"""Rounds in which a client alone and a bridge do the same work in turn, and what they say together."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from eventlog import EventLog, Receipt

VALUE = b"x" * 100
SECONDS_MAX = 600.0
_TOPIC = "events"


class Work(NamedTuple):
    """So many messages, by the clock and by the processor; its seconds are those of this process, with all of its threads."""

    messages: int
    seconds: float
    processor_seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def processor_microseconds(self) -> float:
        """For each message."""
        return self.processor_seconds / self.messages * 1e6


class Way(NamedTuple):
    """One direction: what the bridge is measured against, and the ratio of their rates that is wanted."""

    bridge: str
    client: str
    ratio_wanted: float | None


class Comparison(NamedTuple):
    """A way in one round."""

    way: Way
    client: Work
    bridge: Work


def timed(messages: int, work: Callable[[], object]) -> Work:
    """How long the work takes."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Work(messages, time.perf_counter() - began, time.process_time() - used)


def compared(way: Way, client: Callable[[], Work], bridge: Callable[[], Work], number: int) -> Comparison:
    """Both in turn; who begins changes from round to round."""
    if number % 2:
        after = bridge()
        return Comparison(way, client(), after)
    return Comparison(way, client(), bridge())


class Load(NamedTuple):
    """What bridges move: so many records of the topic, and the last of them."""

    log: EventLog
    messages: int
    last: Receipt

    @classmethod
    def of(cls, log: EventLog, messages: int) -> Load:
        """Append them."""
        log.create_topic(_TOPIC)
        for start in range(1, messages, 1000):
            log.partition(_TOPIC, 0).append_many([VALUE] * min(1000, messages - start))
        return cls(log, messages, log.producer().send(_TOPIC, VALUE))

    def ship(self, url: str) -> Work:
        """Ship them all, until the other side has confirmed the last one."""
        group = str(uuid.uuid4())
        bridge = self.log.ship(_TOPIC, url, group=group)

        def work() -> None:
            bridge.start()
            if not self.last.wait_acked(group, SECONDS_MAX):
                raise RuntimeError(f"not all messages were confirmed: {bridge.progress()}")

        found = timed(self.messages, work)
        bridge.stop()
        return found

    def collect(self, url: str) -> Work:
        """Collect as many into a new topic, until the last one is in it."""
        topic = str(uuid.uuid4())
        self.log.create_topic(topic)
        bridge = self.log.collect(topic, url)

        def work() -> None:
            bridge.start()
            if not self.log.partition(topic, 0).wait(self.messages - 1, SECONDS_MAX):
                raise RuntimeError(f"not all messages came: {bridge.progress()}")

        found = timed(self.messages, work)
        bridge.stop()
        self.log.delete_topic(topic)
        return found


def show(rounds: Sequence[Sequence[Comparison]]) -> None:
    """Print the medians of each way."""
    for of_way in zip(*rounds, strict=True):
        way = of_way[0].way
        for name, works in ((way.client, [each.client for each in of_way]), (way.bridge, [each.bridge for each in of_way])):
            rate = statistics.median(work.rate for work in works)
            processor = statistics.median(work.processor_microseconds for work in works)
            print(f"{name:44} {rate:9,.0f} messages/s  {processor:6.1f} µs of the processor each")
        ratios = sorted(each.bridge.rate / each.client.rate for each in of_way)
        processor = statistics.median(
            each.bridge.processor_microseconds / each.client.processor_microseconds for each in of_way
        )
        wanted = "" if way.ratio_wanted is None else f"; wanted {way.ratio_wanted:g}"
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds{wanted}"
        print(f"  → {statistics.median(ratios):.2f} of its rate ({spread}), {processor:.2f} times the processor", flush=True)
