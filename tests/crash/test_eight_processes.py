"""Four processes append to one partition while four others read it live."""

from __future__ import annotations

import random
from pathlib import Path

import eventlog
from tests.support import stores
from tests.support.crowd import Crowd

_ROUNDS = 6
_GROUPS_PER_WRITER = 100


def test_four_writers_and_four_live_readers_agree_on_every_record(store: Path) -> None:
    crowd = Crowd(store, random.Random(8))
    try:
        with eventlog.open(store) as log:
            partition = stores.open_partition(log)
            for _ in range(4):
                crowd.start_writer()
                crowd.start_reader()
            for _ in range(_ROUNDS):
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
    assert crowd.counts["acknowledged groups"] == 4 * _ROUNDS * _GROUPS_PER_WRITER
    assert len(stores.segments(store)) > 3
    print(dict(crowd.counts))
