"""Random kill -9 of processes that append and read.

EVENTLOG_CRASH_SECONDS makes a campaign of it, EVENTLOG_CRASH_SEED repeats the choices of an earlier run. (The instants
at which processes are hit are the machine's.)
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import eventlog
from tests.support import stores
from tests.support.crowd import Crowd

_KILLS = 20
_SECONDS = float(os.environ.get("EVENTLOG_CRASH_SECONDS", "0"))
_SEED = int(os.environ.get("EVENTLOG_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))
_GROUPS_PER_WRITER = 50


def test_killed_processes_lose_nothing_acknowledged_and_stop_nobody(store: Path) -> None:
    print(f"EVENTLOG_CRASH_SEED={_SEED}")
    choices = random.Random(_SEED)
    crowd = Crowd(store, choices)
    end = time.monotonic() + _SECONDS
    kills = 0
    try:
        with eventlog.open(store) as log:
            partition = stores.open_partition(log)
            for _ in range(4):
                crowd.start_writer()
                crowd.start_reader()
            while kills < _KILLS or time.monotonic() < end:
                crowd.let_append(_GROUPS_PER_WRITER)
                crowd.listen_for(choices.randrange(4 * _GROUPS_PER_WRITER))
                crowd.kill_one_and_replace_it()
                kills += 1
                end_offset = partition.end_offset
                crowd.let_append(_GROUPS_PER_WRITER)
                crowd.see_everybody_pass(end_offset + 1)
        crowd.finish()
    finally:
        crowd.kill_everybody()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        crowd.check(partition)
        assert all(not report.problems for report in log.verify())
    print(dict(crowd.counts))


def test_a_log_outlives_all_of_its_processes_dying_at_once(store: Path) -> None:
    print(f"EVENTLOG_CRASH_SEED={_SEED}")
    crowd = Crowd(store, random.Random(_SEED))
    try:
        for _ in range(3):
            for _ in range(4):
                crowd.start_writer()
            crowd.start_reader()
            crowd.let_append(200)
            crowd.listen_for(300)
            for number in [*crowd.writers, *crowd.readers]:
                crowd.kill(number)
            with eventlog.open(store) as log:
                partition = stores.open_partition(log)
                assert partition.recovery.outcome == "trusted"
                crowd.check(partition)
                assert all(not report.problems for report in log.verify())
    finally:
        crowd.kill_everybody()
