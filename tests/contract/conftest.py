"""A log of each implementation, with the topic `orders` of three partitions, and another client of the same log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from eventlog import contract
from tests.contract.implementations import IMPLEMENTATIONS, Implementation
from tests.contract.orders import PARTITIONS, TOPIC


@pytest.fixture(params=IMPLEMENTATIONS, ids=[each.name for each in IMPLEMENTATIONS])
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return cast(Implementation, request.param)


@pytest.fixture
def log(implementation: Implementation, tmp_path: Path) -> Iterator[contract.Log]:
    with implementation.open(tmp_path) as log:
        log.create_topic(TOPIC, partitions=PARTITIONS)
        yield log


@pytest.fixture
def other(implementation: Implementation, log: contract.Log, tmp_path: Path) -> Iterator[contract.Log]:
    """Another client; the topic is there."""
    with implementation.open(tmp_path) as other:
        yield other


@pytest.fixture
def partition(log: contract.Log) -> contract.Partition:
    return log.partition(TOPIC, 0)
