"""examples/device.py: what a device measures while its centre is stopped arrives once that is back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import device

SECONDS_MAX = 300
NEWS = ["the link is up", "the link is down", "the link is up"]


@pytest.mark.clients
def test_the_centre_is_a_store_that_is_served() -> None:
    pytest.importorskip("confluent_kafka")
    command = [sys.executable, Path(device.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    *news, measured, arrived = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in news] == NEWS
    assert arrived == f"{measured.removeprefix('measured ')} arrived: each once and in order"


@pytest.mark.rabbitmq
def test_the_centre_is_rabbitmq(tmp_path: Path) -> None:
    pytest.importorskip("pika")
    from tests.interop.rabbitmq import ends, server

    problem = server.why_not()
    if problem is not None:
        if server.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    with server.Server(tmp_path / "rabbitmq").running() as rabbitmq:
        process = device.start_device(f"amqp://127.0.0.1:{rabbitmq.port}/%2F?queue=measurements")
        try:
            device.wait_for(process, "the link is up")
            rabbitmq.settle()
            rabbitmq.stop()
            device.wait_for(process, "the link is down")
            rabbitmq.start()
            device.wait_for(process, "the link is up")
            measured = device.end(process)
        finally:
            process.kill()
            process.wait()
        with ends.channel(rabbitmq) as channel:
            bodies = iter(lambda: channel.basic_get("measurements", auto_ack=True)[2], None)
            assert set(bodies) == {device.measure(number) for number in range(measured)}
        assert measured > 0
