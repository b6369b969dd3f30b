"""Batches of a format that is not known here: they are told from damage, and nothing of theirs is cut off or changed."""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import eventlog
from eventlog import EventLog, EventLogError, TopicPartition, UnsupportedFormatError
from torture.campaigns.rot.filled import EVENTS, Filled, fill
from torture.campaigns.rot.looking import KILLED, REBOOTED, REOPENED

MOMENTS = (REOPENED, REBOOTED, KILLED)
MAGICS = (3, 4, 15)

_MAGIC_AT = 16


class Foreign(NamedTuple):
    """The batch at a position of a file gets another magic; how the store was left before."""

    name: str
    position: int
    magic: int
    moment: str


def meet_foreign_batches(connection: Connection, directory: Path, seed: int) -> None:
    """The role of a worker: tell where the batches of each file stand, and try each case that is sent."""
    logging.getLogger("eventlog").setLevel(logging.ERROR)
    store = fill(directory, random.Random(seed), is_large=False)
    connection.send(_readable(store))
    while (case := connection.recv()) is not None:
        try:
            _meet(store, case)
        finally:
            store.restore()
        connection.send("met")


def _readable(store: Filled) -> dict[str, list[int]]:
    """The batches of each file that are still read, in topics without gaps: there a batch is known by its offset."""
    batches = {}
    for (topic, number), (start_offset, _) in store.bounds.items():
        for name in store.batches:
            if topic == EVENTS and name.startswith(f"logs/{topic}-{number}/"):
                content = store.content[name]
                offsets = {at: int.from_bytes(content[at : at + 8], "big") for at in store.batches[name]}
                batches[name] = [at for at, offset in offsets.items() if offset >= start_offset]
    return batches


def _meet(store: Filled, case: Foreign) -> None:
    if case.moment == REBOOTED:
        store.reboot()
    elif case.moment == KILLED:
        store.kill()
    store.overwrite(case.name, case.position + _MAGIC_AT, bytes([case.magic]))
    path = store.path / case.name
    before = path.read_bytes()
    with eventlog.open(store.path) as log:
        _use(store, log, path)
    found = path.read_bytes()
    assert found.startswith(before), f"{case}: of {len(before)} bytes not all are what they were"


def _use(store: Filled, log: EventLog, path: Path) -> None:
    """Read up to what is foreign, which is called that, and let it be worked on by all that might change it."""
    topic, number = path.parent.name.rsplit("-", 1)
    place = TopicPartition(topic, int(number))
    partition = log.partition(*place)
    read = []
    try:
        for record in partition.records():
            read.append(record)
        raise AssertionError(f"{path} was read, though it holds a format that is not known")
    except UnsupportedFormatError as error:
        assert (error.topic, error.partition, error.offset) == (*place, read[-1].offset + 1 if read else partition.start_offset)
    assert read == store.records[place][: len(read)]
    with suppress(EventLogError):
        partition.append(b"more", b"key")
    log.maintain(compact_all=True)
    with suppress(EventLogError):
        log.repair(*place)
