"""The pytest fixture `kafka_broker`, which every test suite gets that has eventlog installed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from eventlog.testing import KafkaBroker, run_broker
from tests.serve.batches import batch
from tests.serve.client import RawClient

pytest_plugins = ["pytester"]


def connect(broker: KafkaBroker) -> RawClient:
    host, _, port = broker.bootstrap.rpartition(":")
    return RawClient((host, int(port)))


@pytest.mark.parametrize("number", range(2))
def test_each_test_has_a_store_of_its_own(kafka_broker: KafkaBroker, number: int) -> None:
    assert kafka_broker.log.topics() == []
    with connect(kafka_broker) as client:
        assert client.metadata("orders").topics[0].error_code == 0
        assert client.produce("orders", batch([b"%d" % number])).base_offset == 0
    assert [record.value for record in kafka_broker.log.partition("orders", 0).read(0)] == [b"%d" % number]


@pytest.mark.kafka_broker(partitions=3)
def test_a_marker_gives_it_options(kafka_broker: KafkaBroker) -> None:
    with connect(kafka_broker) as client:
        assert len(client.metadata("orders").topics[0].partitions) == 3


def test_a_block_is_a_broker_whose_store_stays(tmp_path: Path) -> None:
    for end in range(2):
        with run_broker(tmp_path / "store", partitions=2) as broker, connect(broker) as client:
            assert client.metadata("orders").topics[0].error_code == 0
            assert client.produce("orders", batch([b"x"]), partition=1).base_offset == end


def test_another_suite_has_the_fixture_without_importing_anything(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_theirs="""
        import pytest

        seen = []

        @pytest.mark.parametrize("number", range(2))
        def test_broker(kafka_broker, number):
            kafka_broker.log.create_topic("orders")
            seen.append(kafka_broker.log.path)
            assert kafka_broker.log.path.exists()

        def test_after():
            assert len(set(seen)) == 2
            assert not any(path.exists() for path in seen)

        @pytest.mark.kafka_broker(3)
        def test_wrong_use(kafka_broker):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*takes options by name*"])


def test_a_broker_that_was_stopped_is_gone(kafka_broker: KafkaBroker) -> None:
    kafka_broker.log.close()
    host, _, port = kafka_broker.bootstrap.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
