"""Kafka for the tests that need it, skipped with the reason where it cannot be had; and a server for Kafka's clients."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from tests.cli.command_line import CommandLine
from tests.interop import apache_kafka, far_ends
from tests.interop.far_ends import FarEnd
from tests.interop.kafka_clusters import KafkaCluster

_STOP_SECONDS_MAX = 30


@pytest.fixture(scope="session")
def kafka() -> None:
    """Apache Kafka's jars are in place."""
    problem = apache_kafka.fetch()
    if problem is not None:
        if apache_kafka.is_required():
            pytest.fail(problem)
        pytest.skip(problem)


@pytest.fixture(scope="module")
def broker(kafka: None, tmp_path_factory: pytest.TempPathFactory) -> apache_kafka.Broker:
    """A formatted broker that is not running yet."""
    return apache_kafka.Broker(tmp_path_factory.mktemp("broker"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def bootstrap(store: Path) -> Iterator[str]:
    """The address of a server of the store, which is a program of its own."""
    command_line = CommandLine(store)
    process = command_line.start("serve", "--listen", "127.0.0.1:0", "--json")
    assert process.stdout is not None and process.stderr is not None
    told = json.loads(process.stdout.readline())
    yield f"{told['host']}:{told['port']}"
    process.terminate()
    try:
        _, complaint = process.communicate(timeout=_STOP_SECONDS_MAX)
        warnings = [line for line in complaint.splitlines() if b" INFO " not in line]
        assert (process.returncode, warnings) == (0, [])
    except subprocess.TimeoutExpired:
        command_line.kill_all()
        raise


@pytest.fixture
def log(store: Path, bootstrap: str) -> Iterator[EventLog]:
    with eventlog.open(store) as log:
        yield log


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with eventlog.open(tmp_path_factory.mktemp("served") / "store") as log, log.serve(port=0) as server:
        yield KafkaCluster(server.bootstrap)


@pytest.fixture(scope="module")
def apache(broker: apache_kafka.Broker) -> Iterator[KafkaCluster]:
    with broker.running():
        cluster = KafkaCluster(broker.address)
        cluster.await_groups()
        yield cluster


@pytest.fixture(params=["served", pytest.param("apache", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> KafkaCluster:
    found: KafkaCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session", params=far_ends.PARAMETERS)
def far_end(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnd]:
    """Each system in turn, running; a test that stops it starts it again."""
    system = far_ends.SYSTEMS[request.param]
    problem = system.missing()
    if problem is not None:
        if system.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    far_end = system.make(tmp_path_factory.mktemp(request.param))
    try:
        far_end.start()
        yield far_end
    finally:
        far_end.close()
