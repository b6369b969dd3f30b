"""A log of each implementation, with the topic `orders` of three partitions, and another client of the same log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import pytest

import eventlog
from eventlog import GroupNotFoundError, InvalidArgumentError, TopicNotFoundError, contract
from eventlog.kafka.log import KafkaLog
from tests.contract.implementations import Implementation, those
from tests.contract.orders import PARTITIONS, TOPIC
from tests.contract.polling import comes_true
from tests.interop import apache_kafka

Open = Callable[[], AbstractContextManager[contract.Log]]


@pytest.fixture(params=those(lambda each: True))
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return cast(Implementation, request.param)


@pytest.fixture
def open_log(implementation: Implementation, request: pytest.FixtureRequest) -> Open:
    """Opens the log; each call gives another client."""
    return partial(implementation.open, request.getfixturevalue(implementation.fixture))


@pytest.fixture
def log(open_log: Open) -> Iterator[contract.Log]:
    with open_log() as log:
        log.create_topic(TOPIC, partitions=PARTITIONS)
        yield log


@pytest.fixture
def other(open_log: Open, log: contract.Log) -> Iterator[contract.Log]:
    """Another client; the topic is there."""
    with open_log() as other:
        yield other


@pytest.fixture
def partition(log: contract.Log) -> contract.Partition:
    return log.partition(TOPIC, 0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of an empty store."""
    pytest.importorskip("confluent_kafka")
    with eventlog.open(tmp_path / "served") as store, store.serve(port=0, auto_create_topics=False) as server:
        yield f"kafka://{server.bootstrap}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Apache Kafka."""
    problem = apache_kafka.fetch()
    if problem is not None:
        if apache_kafka.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    broker = apache_kafka.Broker(tmp_path_factory.mktemp("broker"))
    with broker.running():
        yield f"kafka://{broker.address}"


@pytest.fixture
def emptied_cluster(cluster: str) -> str:
    """The URL of an Apache Kafka that has no topics and no groups."""
    with KafkaLog(cluster) as log:
        for topic in log.topics():
            with suppress(TopicNotFoundError):
                log.delete_topic(topic)
        for group in log.groups():
            assert comes_true(partial(_is_deleted, log, group)), f"{group} has members"
    return cluster


def _is_deleted(log: KafkaLog, group: str) -> bool:
    """A member that had no time to leave, because its group was rebalancing, leaves or is forgotten a moment later."""
    try:
        log.group(group).delete()
    except GroupNotFoundError:
        return True
    except InvalidArgumentError:
        return False
    return True
