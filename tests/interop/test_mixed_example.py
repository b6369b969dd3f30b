"""`examples/mixed` runs: a FastAPI service, a consumer that is a Kafka client, Kafka's tools and `eventlog top`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import eventlog
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 900  # Go may have to fetch and compile its module


@pytest.mark.parametrize("language", ["Go", "Python"])
def test_all_programs_work_on_one_store(tmp_path: Path, language: str) -> None:
    for module in ("fastapi", "uvicorn", "confluent_kafka"):
        pytest.importorskip(module)
    if language == "Go" and shutil.which("go") is None:
        pytest.skip("Go is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if language == "Python":
        environment["PATH"] = "/usr/bin:/bin"
    has_tools = bool(list(apache_kafka.JARS.glob("kafka_2.13-*.jar")))
    if has_tools:
        environment["KAFKA_JARS"] = str(apache_kafka.JARS)
    command = [sys.executable, "-m", "examples.mixed", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert f"billing is written in {language}" in done.stdout, done.stdout
    for number, (customer, order) in enumerate([("customer-7", "two apples"), ("customer-3", "a plum")]):
        assert f"billed order {number} of {customer}: {order}" in lines and f"order {number} of {customer}: billed" in lines
    assert 'lag: {"billing": 0}' in lines
    if has_tools:
        assert "Processed a total of 3 messages" in lines
        # group, topic, partition, committed offset, end, lag
        assert ["billing", "orders", "0", "3", "3", "0"] in [line.split()[:6] for line in lines]
    assert any(line.startswith("orders ") for line in lines) and any(line.startswith("JoinGroup ") for line in lines)
    with eventlog.open(tmp_path / "store", create=False) as log:
        assert list(log.partition("orders", 0).values()) == [b"two apples", b"a plum", b"three pears"]
