"""Many processes at work on one partition, and the account of what they said.

Writers append groups and say what was acknowledged; readers follow live, check each record, and say up to where, and
with which digest, they have read. Everything that happens is an event on a pipe; nothing here goes by the clock.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import eventlog
from eventlog import Partition
from tests.support import payloads, stores, workers
from tests.support.processes import REPLY_SECONDS_MAX, Interpreter

_LAST_WRITER = -1


class Acknowledged(NamedTuple):
    writer: int
    first_offset: int
    first_sequence: int
    size: int


class Crowd:
    """The processes, and what they reported."""

    def __init__(self, store: Path, choices: random.Random) -> None:
        self._store = store
        self._choices = choices
        self.writers: dict[int, Interpreter] = {}
        self.readers: dict[int, Interpreter] = {}
        self._number = 0
        self.acknowledged: list[Acknowledged] = []
        self.digests: dict[int, bytes] = {}
        self.progress: dict[int, int] = {}
        self.counts: Counter[str] = Counter()

    def start_writer(self) -> int:
        number = self._next_number()
        seed = self._choices.randrange(2**32)
        self.writers[number] = Interpreter(workers.append_groups, self._store, number, seed)
        return number

    def start_reader(self) -> int:
        number = self._next_number()
        self.readers[number] = Interpreter(workers.check_everything, self._store, _LAST_WRITER)
        return number

    def _next_number(self) -> int:
        self._number += 1
        self.progress[self._number] = -1
        return self._number

    def let_append(self, group_count: int) -> None:
        """Every writer may append so many groups more. Without bounds they would leave the readers far behind."""
        for process in self.writers.values():
            process.send(group_count)

    def listen(self) -> None:
        """Take one message from each process that has said something; wait for the first."""
        everybody = {process.connection: number for number, process in (self.writers | self.readers).items()}
        ready = wait(list(everybody), timeout=REPLY_SECONDS_MAX)
        assert ready, f"nobody said anything for {REPLY_SECONDS_MAX} s; progress: {self.progress}"
        for connection in ready:
            number = everybody[connection]  # type: ignore[index]
            self._note(number, (self.writers | self.readers)[number].receive())

    def _note(self, number: int, message: Any) -> None:
        if message == "closed":
            (self.writers if number in self.writers else self.readers).pop(number).join()
        elif number in self.writers:
            self.acknowledged.append(Acknowledged(number, *message))
            self.progress[number] = message[0]
            self.counts["acknowledged groups"] += 1
        else:
            offset, digest = message
            assert self.digests.setdefault(offset, digest) == digest, f"readers disagree about what precedes {offset}"
            self.progress[number] = offset
            self.counts["end offsets seen by readers"] += 1

    def listen_for(self, group_count: int) -> None:
        """Until so many groups more are acknowledged."""
        target = len(self.acknowledged) + group_count
        while len(self.acknowledged) < target:
            self.listen()

    def see_everybody_pass(self, offset: int) -> None:
        """Until every writer has appended behind `offset` and every reader has read behind it."""
        everybody = self.writers | self.readers
        while any(self.progress[number] < offset for number in everybody):
            self.listen()

    def kill(self, number: int) -> None:
        """SIGKILL; what it said until then counts."""
        process = (self.writers | self.readers)[number]
        process.kill()
        for message in process.drain():
            self._note(number, message)
        process.connection.close()
        (self.writers if number in self.writers else self.readers).pop(number)

    def kill_one_and_replace_it(self) -> None:
        """A random process dies; another one starts instead of it."""
        number = self._choices.choice([*self.writers, *self.readers])
        is_writer = number in self.writers
        self.kill(number)
        self.counts["writers killed" if is_writer else "readers killed"] += 1
        self.start_writer() if is_writer else self.start_reader()

    def finish(self) -> None:
        """Stop the writers, let the readers read to the end."""
        for process in self.writers.values():
            process.send(None)
        while self.writers:
            self.listen()
        with eventlog.open(self._store) as log:
            stores.open_partition(log).append(payloads.value(_LAST_WRITER, 0, 0, 0, 1))
        while self.readers:
            self.listen()

    def kill_everybody(self) -> None:
        for process in (self.writers | self.readers).values():
            process.kill()

    def check(self, partition: Partition) -> None:
        """Read once more: nothing acknowledged is lost, groups are whole, all readers saw this sequence."""
        digest = hashlib.sha256()
        checker = payloads.Checker()
        offsets: dict[tuple[int, int], int] = {}
        seen = 0
        for record in partition.records():
            assert record.value is not None
            checker.check(record.offset, record.value)
            offsets[payloads.writer_of(record.value)] = record.offset
            digest.update(record.value)
            if expected := self.digests.get(checker.next_offset):
                assert digest.digest() == expected, f"a reader saw something else before offset {checker.next_offset}"
                seen += 1
        checker.check_between_groups()
        assert seen == len(self.digests), "a reader saw an end offset that is no record's"
        assert checker.next_offset == partition.end_offset
        for writer, first_offset, first_sequence, size in self.acknowledged:
            for place in range(size):
                found = offsets.get((writer, first_sequence + place))
                assert found == first_offset + place, (
                    f"record {first_sequence + place} of writer {writer} was acknowledged at {first_offset + place}, "
                    f"and is at {found}"
                )
        self.counts["records"] = checker.next_offset
