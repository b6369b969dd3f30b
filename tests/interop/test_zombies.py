"""A bridge is stopped (`SIGSTOP`), another one takes over, and the first one goes on: nothing is lost, and what is promised to
be there once is there once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import eventlog
from tests.interop.bridge_processes import (
    BACK,
    GROUP,
    SECONDS_MAX,
    TOPIC,
    BridgeProcess,
    check_collected,
    check_shipped,
    collect,
    make_store,
    ship,
    step,
    values_from,
)
from tests.interop.far_ends import FarEnd

pytestmark = pytest.mark.faults

RECORDS = 1_000


@pytest.mark.parametrize("moment", ["before assign 1", "before send 2", "after outcomes 3", "before commit 3"])
def test_a_ship_that_was_stopped_and_replaced_does_no_harm(far_end: FarEnd, tmp_path: Path, moment: str) -> None:
    store, queue = make_store(tmp_path), far_end.new_queue()
    url, sent = far_end.url(queue), values_from(0, 3 * RECORDS)
    with eventlog.open(store) as log, log.producer() as producer:
        receipts = [producer.send(TOPIC, value) for value in sent[:RECORDS]]
        with BridgeProcess(ship, store, url, step(far_end, moment), signal.SIGSTOP) as zombie:
            zombie.wait_until_stopped()
            with BridgeProcess(ship, store, url) as successor:
                receipts += [producer.send(TOPIC, value) for value in sent[RECORDS : 2 * RECORDS]]
                assert receipts[-1].wait_acked(GROUP, SECONDS_MAX)
                zombie.resume()
                receipts += [producer.send(TOPIC, value) for value in sent[2 * RECORDS :]]
                assert receipts[-1].wait_acked(GROUP, SECONDS_MAX)
                zombie.end()
                successor.end()
        assert set(log.group(GROUP).lag().values()) == {0}
    check_shipped(far_end, queue, sent, 1)


@pytest.mark.parametrize("moment", ["before append 2", "after append 2", "before acknowledge 2"])
def test_a_collecting_bridge_that_was_stopped_and_replaced_does_no_harm(
    far_end: FarEnd, tmp_path: Path, moment: str
) -> None:
    store, queue = make_store(tmp_path), far_end.new_queue()
    url, values = far_end.url(queue, far_end.impatience), values_from(0, 2 * RECORDS)
    far_end.put(queue, values[:RECORDS])
    with eventlog.open(store) as log:
        back = log.partition(BACK, 0)
        with BridgeProcess(collect, store, url, step(far_end, moment), signal.SIGSTOP) as zombie:
            zombie.wait_until_stopped()
            with BridgeProcess(collect, store, url) as successor:
                assert back.wait(RECORDS - 1, SECONDS_MAX)
                zombie.resume()
                far_end.put(queue, values[RECORDS:])
                assert back.wait(2 * RECORDS - 1, SECONDS_MAX)
                zombie.end()
                successor.end()
        check_collected(log, values)
