"""Workers that are killed, at any moment: what they had goes to others at once, and what they had finished to nobody."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from tests.support import jobs, stores
from tests.support.jobs import GROUP
from tests.support.kill_steps import kill_at_every_step
from tests.support.processes import REPLY_SECONDS_MAX, Worker
from tests.support.stores import TOPIC

HERE = TopicPartition(TOPIC, 0)
RECORDS = 30


def test_what_a_killed_worker_had_goes_to_one_that_waits_and_only_what_was_handed_out_counts(store: Path) -> None:
    with eventlog.open(store) as log, log.worker(TOPIC, GROUP, config=jobs.SETTINGS) as waiting:
        stores.open_partition(log).append_many([b"job"] * 200)
        with Worker(jobs.hold, store, 2) as dying:
            claimed, in_hand = dying.receive()
            rest = waiting.claim(200)
            while more := waiting.claim(200, timeout=0):
                rest += more  # what was reserved behind the job in hand, too
            waiting.accept(rest)
            dying.kill()
        again = {job.offset: job.delivery_count for _ in range(3) for job in waiting.claim(timeout=60)}
        assert again == {claimed[0]: 2, claimed[1]: 2, in_hand: 2}, "the lock of these would have lasted for an hour"
        assert waiting.claim(timeout=0) == []


def finished(store: Path) -> Path:
    return store.with_name(f"{store.name}.finished")


@contextmanager
def a_topic_of_jobs(store: Path) -> Iterator[Path]:
    stores.create(store)
    with eventlog.open(store) as log:
        stores.open_partition(log).append_many([b"job"] * RECORDS)
    finished(store).touch()
    yield store


def work(log: EventLog) -> None:
    """Claim, accept, release and reject; note each job that was accepted or rejected, once that has returned."""
    file = os.open(finished(log.path), os.O_WRONLY | os.O_APPEND)
    with log.worker(TOPIC, GROUP, config=jobs.SETTINGS) as worker, log.worker(TOPIC, GROUP) as other:
        first, second, *rest = worker.claim(6)
        for job in (second, first):
            job.accept()
            os.write(file, b"%d\n" % job.offset)
        rest[0].reject()
        os.write(file, b"%d\n" % rest[0].offset)
        rest[1].release(0)
        rest[2].renew()
        others = other.claim(3)
        other.accept(others)
        os.write(file, b"".join(b"%d\n" % job.offset for job in others))
        for job in worker:
            job.accept()
            os.write(file, b"%d\n" % job.offset)
            if job.offset == 20:
                break


def the_rest_is_done_once(store: Path) -> None:
    done = {int(line) for line in finished(store).read_text().split()}
    with eventlog.open(store) as log, log.worker(TOPIC, GROUP, config=jobs.SETTINGS) as worker:
        while claimed := worker.claim(7, timeout=0):
            offsets = {job.offset for job in claimed}
            assert not done & offsets
            done |= offsets
            worker.accept(claimed)
        assert len(done) >= RECORDS - 3, "one call, of three records at most, may not have been noted"
        assert log.group(GROUP).committed() == {HERE: RECORDS}


def test_a_worker_that_dies_between_two_stores_of_its_page_leaves_all_the_rest_to_others(tmp_path: Path) -> None:
    worst = ("share.admitted", "share.accepted")
    died = kill_at_every_step(tmp_path, worst, a_topic_of_jobs, work, the_rest_is_done_once)
    assert died == set(worst)


@pytest.mark.slow
def test_a_worker_that_dies_at_any_step_leaves_all_the_rest_to_others(tmp_path: Path) -> None:
    died = kill_at_every_step(tmp_path, ("share.", "commit.", "slot."), a_topic_of_jobs, work, the_rest_is_done_once, passes=2)
    assert len(died) > 25


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_workers_that_are_killed_at_random_moments_do_at_most_one_job_twice_for_each_kill(store: Path, seed: int) -> None:
    choices = random.Random(seed)
    count, kills = 1000, 0
    with eventlog.open(store) as log:
        stores.open_partition(log).append_many([b"job"] * count)
        log.create_group(GROUP)
    said: list[tuple[str, int]] = []
    with eventlog.open(store) as log, ExitStack() as running:
        working = [running.enter_context(Worker(jobs.work, store, count)) for _ in range(3)]
        until_kill = choices.randrange(200)
        while log.group(GROUP).committed().get(HERE) != count:
            speaking = [each for each in working if each.connection.poll()]
            for each in speaking:
                said.append(each.receive())
                until_kill -= 1
            if until_kill < 0 and kills < 8:
                dying = working.pop(choices.randrange(3))
                dying.kill()
                kills, until_kill = kills + 1, choices.randrange(200)
                said += dying.drain()
                working.append(running.enter_context(Worker(jobs.work, store, count)))
            if not speaking:
                wait([each.connection for each in working], timeout=REPLY_SECONDS_MAX)
        for each in working:
            said += each.drain()
        accepted = Counter(offset for what, offset in said if what == "accepted")
        assert max(accepted.values()) == 1, "what was accepted was never handed out again"
        assert len(accepted) >= count - kills, "of one job for each kill it was not said that it was accepted"
        begun = Counter(offset for what, offset in said if what == "begun")
        released = Counter(offset for what, offset in said if what == "released")
        twice = sum(begun[offset] - 1 - released[offset] for offset in begun)
        assert twice <= 3 * kills, "of each kill at most the three that were handed out together"
        assert log.group(GROUP).committed() == {HERE: count}
