"""A server that is stopped, killed or does nothing for a while, under bridges: they lose nothing, and take no more memory.

`python -m tests.interop.outages kafka --seconds 60` lets it be down for a minute.
"""

from __future__ import annotations

import argparse
import tempfile
from operator import methodcaller
from pathlib import Path

import eventlog
from tests.interop import far_ends
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
    values_from,
)
from tests.interop.far_ends import FarEnd

RECORDS = 1_500
_BACKLOG, _PADDING = 6_000, bytes(4_000)
_GROWTH_MAX = 12 << 20  # bytes: half of the backlog

# By name: functions of the abstract class would do nothing to any server.
_BEGIN = {"stopped": methodcaller("stop"), "killed": methodcaller("kill"), "paused": methodcaller("pause")}
_END = {"stopped": methodcaller("start"), "killed": methodcaller("start"), "paused": methodcaller("resume")}
OUTAGES = tuple(_BEGIN)


def ship_through(far_end: FarEnd, directory: Path, seconds: float, outage: str) -> str:
    """Ship while the server goes away for so long, and many records are appended."""
    store, queue = make_store(directory), far_end.new_queue()
    sent = [*values_from(0, RECORDS), *(b"%d %b" % (number, _PADDING) for number in range(_BACKLOG))]
    with (
        eventlog.open(store) as log,
        log.producer() as producer,
        BridgeProcess(ship, store, far_end.url(queue)) as bridge,
    ):
        receipts = [producer.send(TOPIC, value) for value in sent[:RECORDS]]
        assert receipts[RECORDS // 3].wait_acked(GROUP, SECONDS_MAX)
        before = bridge.resident_bytes
        _BEGIN[outage](far_end)
        receipts = [producer.send(TOPIC, value) for value in sent[RECORDS:]]
        assert not receipts[0].wait_acked(GROUP, seconds), "it was acknowledged by a server that is away"
        assert {member.process_id for member in log.group(GROUP).describe().members} == {bridge.pid}
        growth = bridge.resident_bytes - before
        _END[outage](far_end)
        assert receipts[-1].wait_acked(GROUP, SECONDS_MAX)
        bridge.end()
    twice = check_shipped(far_end, queue, sent, 1)
    assert growth < _GROWTH_MAX, f"{growth} bytes more while it was down"
    return f"{len(sent)} records, {twice} twice, {growth >> 10} KiB more"


def collect_through(far_end: FarEnd, directory: Path, seconds: float, outage: str) -> str:
    """Collect while the server goes away for so long."""
    store, queue = make_store(directory), far_end.new_queue()
    values = values_from(0, 2 * RECORDS)
    far_end.put(queue, values[:RECORDS])
    with eventlog.open(store) as log, BridgeProcess(collect, store, far_end.url(queue)) as bridge:
        back = log.partition(BACK, 0)
        assert back.wait(RECORDS // 3, SECONDS_MAX)
        before = bridge.resident_bytes
        _BEGIN[outage](far_end)
        assert not back.wait(2 * RECORDS - 1, seconds)
        _END[outage](far_end)
        far_end.put(queue, values[RECORDS:])
        assert back.wait(2 * RECORDS - 1, SECONDS_MAX), back.end_offset
        growth = bridge.resident_bytes - before
        bridge.end()
        check_collected(log, values)
    assert growth < _GROWTH_MAX, f"{growth} bytes more"
    return f"{len(values)} messages, each once, {growth >> 10} KiB more"


def main() -> None:
    """Both ways, through all kinds of outages."""
    parser = argparse.ArgumentParser("python -m tests.interop.outages", description=__doc__)
    parser.add_argument("system", choices=sorted(far_ends.SYSTEMS))
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "server").mkdir()
        far_end = far_ends.SYSTEMS[options.system].make(directory / "server")
        try:
            far_end.start()
            for way in (ship_through, collect_through):
                for outage in OUTAGES:
                    told = way(far_end, directory / f"{way.__name__}-{outage}", options.seconds, outage)
                    print(f"{options.system}, {way.__name__}, {outage}: {told}", flush=True)
        finally:
            far_end.close()


if __name__ == "__main__":
    main()
