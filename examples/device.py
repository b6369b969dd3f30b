"""A device that goes on measuring while the link to its centre is down, keeps what it cannot send, and loses nothing.

    python examples/device.py                                             # all of it here: pip install 'eventlog-store[kafka]'
    python examples/device.py 'amqp://localhost/%2F?queue=measurements'   # only the device, until Enter is pressed

The device appends what it measures to a store of its own, which needs no network, and a bridge ships it. Without arguments, the
centre is `eventlog serve` of another store; it is stopped and started again while the device measures.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import eventlog

INTERVAL_SECONDS = 0.005
SHIPPED_SECONDS_MAX = 300


def measure(number: int) -> bytes:
    """What a sensor says."""
    return b'{"number": %d, "celsius": %d}' % (number, 20 + number % 7)


def run_device(store: str, url: str) -> None:
    """Measure until there is something on standard input, or it ends; return once the centre has everything. A line says
    whenever the link comes or goes."""
    with eventlog.open(store) as log:
        # With retention.acked, no limit on time or size deletes what was not shipped yet.
        log.create_topic("measurements", config={"retention.acked": True})
        with log.producer() as producer, log.ship("measurements", url, group="to-centre", create="") as link:
            measured, was_up = 0, False
            is_enough = False
            while not is_enough:
                receipt = producer.send("measurements", measure(measured))
                measured += 1
                was_up = tell(link.progress(), was_up, measured)
                is_enough = bool(select.select([sys.stdin], [], [], INTERVAL_SECONDS)[0])
            deadline = time.monotonic() + SHIPPED_SECONDS_MAX
            while not receipt.wait_acked("to-centre", timeout=0.1):
                was_up = tell(link.progress(), was_up, measured)
                if not link.is_alive or time.monotonic() > deadline:
                    sys.exit(f"the centre does not have everything: {link.progress().last_error}")
    print(f"measured {measured}", flush=True)


def tell(progress: eventlog.BridgeProgress, was_up: bool, measured: int) -> bool:
    """Say if the link has come or gone; returns whether it is there."""
    is_up = progress.state == "running"
    if is_up != was_up:
        print(f"the link is {'up' if is_up else 'down'}: {measured} measured, {progress.records} shipped", flush=True)
    return is_up


def start_centre(store: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Serve a store; returns the server, once devices can connect, and its port."""
    command = [sys.executable, "-m", "eventlog", "--store", str(store), "serve", "--listen", f"127.0.0.1:{port}", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["port"]


def stop_centre(server: subprocess.Popen[str]) -> None:
    """Stop it, and wait until it is gone."""
    server.terminate()
    server.communicate()


def start_device(url: str) -> subprocess.Popen[str]:
    """Start it with pipes for what it says, and for telling it that it is enough."""
    command = [sys.executable, __file__, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(device: subprocess.Popen[str], words: str) -> None:
    """Show what the device says, until it says this."""
    assert device.stdout is not None
    for line in device.stdout:
        print(line, end="")
        if words in line:
            return
    sys.exit(f"the device has ended, and did not say: {words}")


def end(device: subprocess.Popen[str]) -> int:
    """Let it end once the centre has everything; returns how often it has measured."""
    said, _ = device.communicate()
    print(said, end="")
    return int(said.split()[-1]) if device.returncode == 0 else -1


def main() -> bool:
    """Let a device measure, take its centre away and give it back, and compare what was measured with what has arrived."""
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "centre"
        server, port = start_centre(store)
        device = start_device(f"kafka://127.0.0.1:{port}/measurements")
        wait_for(device, "the link is up")
        stop_centre(server)
        wait_for(device, "the link is down")
        server, _ = start_centre(store, port)
        wait_for(device, "the link is up")
        measured = end(device)
        stop_centre(server)
        with eventlog.open(store) as log:
            arrived = [value for value in log.partition("measurements", 0).values() if value is not None]
    is_right = arrived == [measure(number) for number in range(measured)]
    print(f"{len(arrived)} arrived: {'each once and in order' if is_right else 'which is wrong'}")
    return is_right


if __name__ == "__main__":
    if len(sys.argv) == 2:
        with tempfile.TemporaryDirectory() as own_store:
            run_device(own_store, sys.argv[1])
    else:
        sys.exit(not main())
