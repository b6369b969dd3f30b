"""The process that sends the flights, and is told when each group has processed them."""

from __future__ import annotations

import signal
import time

import eventlog
from examples.flights.counting import GROUPS
from examples.flights.events import FLIGHTS, TOPIC, flights
from examples.flights.telling import tell

ACK_TIMEOUT_S = 60


def produce(store: str) -> None:
    """Send every flight to the partition of its key; then wait until group after group has acknowledged all of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends this one
    with eventlog.open(store) as log, log.producer(linger_ms=50, batch_bytes=200_000) as producer:
        for group in GROUPS:
            producer.on_ack(group, _Progress())
        start = time.monotonic()
        last: dict[int, eventlog.Receipt] = {}
        for event in flights():
            receipt = producer.send(TOPIC, event.value, key=event.key, timestamp=event.timestamp)
            last[receipt.partition] = receipt
        producer.flush()
        tell(f"sent {FLIGHTS:,} flights, {FLIGHTS / (time.monotonic() - start):,.0f} a second; they are on disk")
        for group in GROUPS:
            for receipt in last.values():
                if not receipt.wait_acked(group, timeout=ACK_TIMEOUT_S):
                    raise SystemExit(f"{group} has not acknowledged {receipt} within {ACK_TIMEOUT_S} s")
            tell(f"{group} has acknowledged the last flight of every partition")


class _Progress:
    """Tells when a group has acknowledged another quarter of the flights."""

    def __init__(self) -> None:
        self._acked: dict[int, int] = {}
        self._quarters = 0

    def __call__(self, ack: eventlog.Ack) -> None:
        self._acked[ack.partition] = ack.offset + 1
        quarters = sum(self._acked.values()) * 4 // FLIGHTS
        if self._quarters < quarters < 4:
            tell(f"{ack.group} has acknowledged {quarters * 25} % of the flights")
        self._quarters = quarters
