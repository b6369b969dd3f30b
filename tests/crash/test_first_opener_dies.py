"""Many processes open a store at once, and some die in the middle of it."""

from __future__ import annotations

import fcntl
import os
import random
import time
from pathlib import Path

import pytest

import eventlog
from eventlog.storage.segments import users
from tests.support import heads, stores, workers
from tests.support.processes import Interpreter

_SEED = int(os.environ.get("EVENTLOG_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))
_ROUNDS = 8
_OPENERS = 5


def _pass_some_time(seconds: float) -> None:
    """Not to wait for anything: only to hit processes at different points of their way."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def _open_at_once(store: Path, choices: random.Random) -> int:
    """Start openers, kill some while they open; the others must all get through. How many were killed?"""
    openers = [Interpreter(workers.open_and_append, store) for _ in range(_OPENERS)]
    try:
        for opener in openers:
            assert opener.receive() == "opening"
        victims = choices.sample(openers, choices.randrange(1, _OPENERS))
        for victim in victims:
            _pass_some_time(choices.random() * 0.01)
            victim.kill()
        survivors = [opener for opener in openers if opener not in victims]
        offsets = [survivor.receive() for survivor in survivors]
        assert len(set(offsets)) == len(survivors)
        for survivor in survivors:
            survivor.send("close")
            survivor.join()
        return len(victims)
    finally:
        for opener in openers:
            opener.kill()


@pytest.mark.parametrize("state", ["no store", pytest.param("a store after a reboot", marks=pytest.mark.slow)])
def test_openers_that_die_leave_a_store_that_opens_and_works(tmp_path: Path, state: str) -> None:
    print(f"EVENTLOG_CRASH_SEED={_SEED}")
    choices = random.Random(_SEED)
    killed = 0
    for number in range(_ROUNDS):
        store = tmp_path / f"store-{number}"
        if state != "no store":
            stores.create(store)
            with eventlog.open(store) as log:
                stores.open_partition(log).append_many([b"opened"] * 2000)
            heads.simulate_reboot(stores.head_file(store))
        killed += _open_at_once(store, choices)
        with eventlog.open(store) as log:
            partition = stores.open_partition(log)
            offset = partition.append(b"opened")
            assert list(partition.values()) == [b"opened"] * (offset + 1)
            assert [report.problems for report in log.verify()] == [[]]
    print(f"{killed} openers killed")


def test_an_opener_that_dies_before_it_has_noted_where_it_is_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock alone when another one comes, and is gone when that one shares it."""
    (tmp_path / "store").mkdir()
    alone = os.open(tmp_path / "store", os.O_RDONLY)
    fcntl.flock(alone, fcntl.LOCK_EX)
    share = users.share

    def share_after_its_death(store: Path, directory: int, timeout_ms: int) -> None:
        fcntl.flock(alone, fcntl.LOCK_UN)
        share(store, directory, timeout_ms)

    monkeypatch.setattr(users, "share", share_after_its_death)
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(stores.TOPIC)
    os.close(alone)
