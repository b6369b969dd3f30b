"""Kafka for the tests that need it: skipped with the reason where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import apache_kafka


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
