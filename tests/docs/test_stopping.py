"""The recipes of docs/stopping.md that need nothing but Python; tests/interop/test_services.py has the others."""

from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import eventlog
from tests.support import namespaces
from tests.support.recipes import ROOT, recipes, write_recipe

SECONDS_MAX = 60
AS_PROCESS_1 = ("unshare", *namespaces.OTHER_PROCESSES)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The worker, and a store with two orders."""
    write_recipe(tmp_path, "worker.py")
    with eventlog.open(tmp_path / "shop") as log:
        log.create_topic("orders")
        log.partition("orders", 0).append_many([b"first", b"second"])
    return tmp_path


def start(directory: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker; returns once it has worked on both orders and waits for more."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == [b"ready\n", b"b'first'\n", b"b'second'\n"]
    return process


def has_ended_well(directory: Path) -> bool:
    with eventlog.open(directory / "shop") as log:
        group = log.group("billing")
        return group.describe().members == () and list(group.committed().values()) == [2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_finishes_the_record_in_hand(directory: Path, number: signal.Signals) -> None:
    with start(directory, [sys.executable, "worker.py"]) as process:
        process.send_signal(number)
        assert process.wait(SECONDS_MAX) == 0
    assert has_ended_well(directory)


def test_a_worker_is_process_1_of_a_container(directory: Path) -> None:
    if refused := namespaces.refusal(namespaces.OTHER_PROCESSES):
        pytest.skip(refused)
    with start(directory, [*AS_PROCESS_1, sys.executable, "worker.py"]) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    assert has_ended_well(directory)


def test_the_unit_of_systemd_starts_and_stops_the_worker(directory: Path) -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read_string(recipes()["billing.service"])
    service = unit["Service"]
    python, program = service["ExecStart"].split()
    assert python.endswith("python3")
    with start(directory, [sys.executable, program]) as process:
        process.send_signal(signal.Signals[service["KillSignal"]])
        assert process.wait(int(service["TimeoutStopSec"])) == 0
    assert has_ended_well(directory)
