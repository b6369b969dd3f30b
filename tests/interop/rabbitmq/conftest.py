"""RabbitMQ for the tests that need it, skipped with the reason where it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.rabbitmq import server
from tests.interop.rabbitmq.server import Server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that all tests share: each one uses queues of its own."""
    problem = server.why_not()
    if problem is not None:
        if server.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    with Server(tmp_path_factory.mktemp("rabbitmq")).running() as running:
        yield running
