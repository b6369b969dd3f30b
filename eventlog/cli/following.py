"""Records as they come: of all partitions, or of those that a group gives this member."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eventlog.cli import output

if TYPE_CHECKING:
    from eventlog import Consumer, EventLog, Partition, Record

# How long the end of the reader of our output may go unnoticed. It delays no record: those end the wait at once.
_CHECK_SECONDS = 0.5
_POLL_RECORDS = 500

_Print = Callable[["Record"], None]


def follow(log: EventLog, positions: dict[Partition, int], limit: int, print_record: _Print) -> None:
    """Print what stands at the positions and what comes behind, `limit` records at most; else Ctrl-C ends it.

    Raises BrokenPipeError when nobody can read standard output any more."""
    from eventlog import TopicPartition

    places = {TopicPartition(item.topic, item.partition): offset for item, offset in positions.items()}
    with log.consumer() as consumer:
        consumer.assign(places)
        for place, offset in places.items():
            consumer.seek(place, offset)
        while limit > 0:
            with _printed(consumer, limit) as records:
                for record in records:
                    print_record(record)
                    limit -= 1


def consume_as_member(
    log: EventLog, topic: str, group: str, start: str, limit: int, is_following: bool, print_record: _Print
) -> None:
    """Print the partitions that the group gives us, and commit what was printed once it was written out.

    Ends where the partitions ended when it began, unless it `is_following`, or after `limit` records."""
    from eventlog import TopicPartition

    ends = {
        TopicPartition(topic, number): log.partition(topic, number).end_offset
        for number in range(log.topic(topic).partitions)
    }
    with log.consumer(topic, group=group, auto_offset_reset=start) as consumer:
        while limit > 0:
            printed = {}
            try:
                with _printed(consumer, limit) as records:
                    is_idle = not records
                    for record in records:
                        print_record(record)
                        printed[TopicPartition(record.topic, record.partition)] = record.offset + 1
                        limit -= 1
            except BrokenPipeError:
                raise  # nobody read it: nothing is acknowledged
            except BaseException:
                consumer.commit(printed)
                raise
            consumer.commit(printed)
            share = consumer.assignment()
            is_at_end = all(consumer.position(place) >= ends.get(place, 0) for place in share)
            if not is_following and is_at_end and (share or is_idle):
                return


@contextmanager
def _printed(consumer: Consumer, limit: int) -> Iterator[list[Record]]:
    """The next records, [] when there are none for a while; what was printed of them is written out in the end."""
    records = consumer.poll(timeout=_CHECK_SECONDS, max_records=min(limit, _POLL_RECORDS))
    if not records:
        _check_reader()
    try:
        yield records
    finally:
        output.flush()


def _check_reader() -> None:
    poller = select.poll()
    poller.register(1, 0)  # Errors and hang-ups are reported unasked.
    if poller.poll(0):
        raise BrokenPipeError
