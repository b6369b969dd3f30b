"""Messages that come again and again, because bridges die before they acknowledge them: recognised, in bounded memory."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import eventlog
from tests.interop import far_ends
from tests.interop.bridge_processes import (
    BACK,
    SECONDS_MAX,
    BridgeProcess,
    check_collected,
    collect,
    make_store,
    step,
)
from tests.interop.far_ends import FarEnd

pytestmark = pytest.mark.faults

MESSAGES, PADDING = 4_000, bytes(4_000)
DEATHS = 6  # fewer than the ten times after which Artemis puts a message away
GROWTH_MAX = 8 << 20  # bytes: half of what there is
OF_QUEUES = [each for each in far_ends.PARAMETERS if each.id != "kafka"]  # which gives only what it is asked for


@pytest.mark.parametrize("far_end", OF_QUEUES, indirect=True)
def test_a_redelivery_storm_is_collected_once_in_bounded_memory(far_end: FarEnd, tmp_path: Path) -> None:
    store, queue = make_store(tmp_path), far_end.new_queue()
    url = far_end.url(queue, far_end.impatience)
    values = [b"%d %b" % (number, PADDING) for number in range(MESSAGES)]
    far_end.put(queue, values)
    for _ in range(DEATHS):
        with BridgeProcess(collect, store, url, step(far_end, "before acknowledge 1"), signal.SIGKILL) as bridge:
            assert bridge.exit_status == -9
    with eventlog.open(store) as log:
        back = log.partition(BACK, 0)
        with BridgeProcess(collect, store, url) as bridge:
            assert back.wait(back.end_offset, SECONDS_MAX)
            before = bridge.resident_bytes
            assert back.wait(MESSAGES - 1, SECONDS_MAX), back.end_offset
            growth = bridge.resident_bytes - before
            assert bridge.end().recognised > 0
        check_collected(log, values)
    assert growth < GROWTH_MAX, f"{growth} bytes more"
