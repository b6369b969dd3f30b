"""The processes of the demo: one writes the flights, others each read a partition while it is written."""

from __future__ import annotations

import os
from threading import Event as Signal
from typing import NamedTuple

import eventlog
from eventlog.records.partitioning import partition_for_key
from examples.flights.events import Event, flights
from examples.flights.tally import Tally

TOPIC = "flights"
BATCH_EVENTS = 500


class Result(NamedTuple):
    """What a process did with one partition. `live_events` were read while the writer was still at work."""

    partition: int
    process_id: int
    events: int
    live_events: int
    departures: dict[str, int]
    fingerprint: str


def write(store: str, written: Signal) -> None:
    """Write every flight to the partition of its key, in batches; then say so."""
    with eventlog.open(store) as log:
        partitions = [log.partition(TOPIC, number) for number in range(log.topic(TOPIC).partitions)]
        waiting: list[list[Event]] = [[] for _ in partitions]
        for event in flights():
            number = partition_for_key(event.key, len(partitions))
            waiting[number].append(event)
            if len(waiting[number]) == BATCH_EVENTS:
                _append(partitions[number], waiting[number])
        for partition, events in zip(partitions, waiting, strict=True):
            _append(partition, events)
            partition.flush()
    written.set()


def _append(partition: eventlog.Partition, events: list[Event]) -> None:
    if events:
        keys, values, timestamps = zip(*events, strict=True)
        partition.append_many(list(values), keys=list(keys), timestamps=list(timestamps))
        events.clear()


def read(store: str, number: int, written: Signal) -> Result:
    """Read one partition from its first event, wait for more at its end, and stop at the last event."""
    tally = Tally()
    live_events = 0
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, number)
        position = partition.start_offset
        # The signal is looked at before the end offset: what stands then is all there will be.
        while not (all_written := written.is_set()) or position < partition.end_offset:
            if not partition.wait(position, timeout=0.1):
                continue
            for record in partition.records(position):
                tally.add(record.key, record.value, record.timestamp)
                position = record.offset + 1
            if not all_written:
                live_events = tally.events
    return Result(number, os.getpid(), tally.events, live_events, tally.departures, tally.fingerprint)


def expected(partitions: int) -> list[Tally]:
    """What each partition has to hold, worked out from the file without the log."""
    tallies = [Tally() for _ in range(partitions)]
    for event in flights():
        tallies[partition_for_key(event.key, partitions)].add(*event)
    return tallies
