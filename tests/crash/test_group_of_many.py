"""Ten members join, leave and are killed at random while four producers append: nothing is lost, nothing is stuck."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import eventlog
from eventlog import TopicPartition
from tests.support import members, stores
from tests.support.processes import Worker
from tests.support.stores import TOPIC

PARTITIONS = 16
MEMBERS = 10
PRODUCERS = 4
GROUP = "many"
SECONDS = float(os.environ.get("EVENTLOG_CRASH_SECONDS", "8"))
RECORDS_A_PRODUCER = int(5_000 * SECONDS)


class _Member:
    """A running member, and what it said that it processed."""

    def __init__(self, store: Path, assignor: str) -> None:
        self.worker = Worker(members.consume, store, GROUP, {"assignor": assignor})
        self.was_killed = False
        self.spans: list[tuple[int, int, int]] = []

    def note(self, messages: list[Any]) -> None:
        for message in messages:
            if not isinstance(message, str):
                self.spans.extend(message)

    def listen(self) -> None:
        while self.worker.connection.poll():
            self.note([self.worker.receive()])

    def end(self, killed: bool) -> None:
        self.was_killed = killed
        if killed:
            self.worker.kill()
        else:
            self.worker.send("leave")
            while (message := self.worker.receive()) != "left":
                self.note([message])
            self.worker.join()
        self.note(self.worker.drain())


class _Committed:
    """Checks at every look that no committed offset went back."""

    def __init__(self, log: eventlog.EventLog) -> None:
        self._log = log
        self._last: dict[TopicPartition, int] = {}

    def look(self) -> None:
        if GROUP in self._log.groups():
            now = self._log.group(GROUP).committed()
            assert all(now[partition] >= offset for partition, offset in self._last.items())
            self._last = now


def _check(everybody: list[_Member], ends: dict[int, int]) -> int:
    """Every record was processed; one that was processed again had been processed by a member that was killed."""
    processed: dict[tuple[int, int], list[_Member]] = defaultdict(list)
    for member in everybody:
        for partition, first, stop in member.spans:
            for offset in range(first, stop):
                processed[partition, offset].append(member)
    again = 0
    for partition, end in ends.items():
        for offset in range(end):
            by = processed[partition, offset]
            assert by, f"nobody processed {partition}/{offset}"
            alive = [member for member in by if not member.was_killed]
            assert len(alive) <= 1, f"two live members processed {partition}/{offset}"
            again += len(by) > 1
    return again


def test_every_record_is_processed_and_never_by_two_live_members(tmp_path: Path) -> None:
    seed = int(os.environ.get("EVENTLOG_CRASH_SEED", str(random.randrange(2**32))))
    choices = random.Random(seed)
    print(f"seed {seed}")
    store = tmp_path / "store"
    stores.create(store, partitions=PARTITIONS)
    assignor = choices.choice(["cooperative-sticky", "range", "round-robin"])
    everybody: list[_Member] = []
    kills = leaves = 0
    with ExitStack() as stack:
        log = stack.enter_context(eventlog.open(store, fsync="never"))
        committed = _Committed(log)

        def start() -> _Member:
            member = _Member(store, assignor)
            stack.enter_context(member.worker)
            everybody.append(member)
            return member

        running = [start() for _ in range(MEMBERS)]
        producers = [
            stack.enter_context(Worker(members.produce, store, number, RECORDS_A_PRODUCER, PARTITIONS))
            for number in range(PRODUCERS)
        ]
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for member in running:
                member.listen()
            committed.look()
            victim = running.pop(choices.randrange(len(running)))
            is_killed = choices.random() < 0.7
            kills, leaves = kills + is_killed, leaves + (not is_killed)
            victim.end(killed=is_killed)
            running.append(start())
        assert [producer.receive() for producer in producers] == [RECORDS_A_PRODUCER] * PRODUCERS
        with log.producer() as producer:
            receipts = [producer.send(TOPIC, b"the last", partition=number) for number in range(PARTITIONS)]
            assert all(receipt.wait_acked(GROUP, timeout=60) for receipt in receipts)
        for member in running:
            member.end(killed=False)
        committed.look()
        group = log.group(GROUP)
        assert set(group.lag().values()) == {0} and len(group.lag()) == PARTITIONS
        ends = {number: log.partition(TOPIC, number).end_offset for number in range(PARTITIONS)}
    again = _check(everybody, ends)
    print(
        f"{assignor}: {len(everybody)} members, {kills} killed, {leaves} left, {sum(ends.values())} records, "
        f"{again} processed again"
    )
    assert kills > 0 and sum(ends.values()) == PRODUCERS * RECORDS_A_PRODUCER + PARTITIONS
