"""The processes that work through the flights as members of a group."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import time
from collections import defaultdict

import eventlog
from examples.flights.counting import GROUPS
from examples.flights.events import TOPIC
from examples.flights.tallies import Tally


def consume(store: str, group: str, last_flight: int | None) -> None:
    """Count the group's flights, chunk by chunk, until SIGTERM.

    Once it has counted `last_flight` of them this process waits for kill -9 at the worst moment: with its tallies sent, but
    the offsets not committed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    process, main_process = multiprocessing.current_process().name, multiprocessing.parent_process()
    assert main_process is not None
    counted = 0
    with eventlog.open(store) as log, log.producer() as producer, log.consumer(TOPIC, group=group) as consumer:
        while main_process.is_alive():
            records = consumer.poll(timeout=1)
            polled_at = time.monotonic()
            chunks: dict[int, list[eventlog.Record]] = defaultdict(list)
            for record in records:
                chunks[record.partition].append(record)
            for partition, chunk in chunks.items():
                counts = GROUPS[group](json.loads(record.value or b"") for record in chunk)
                Tally(group, partition, chunk[0].offset, chunk[-1].offset + 1, process, polled_at, counts).send(producer)
            counted += len(records)
            if last_flight is not None and counted >= last_flight:
                main_process.join()
            consumer.commit()
