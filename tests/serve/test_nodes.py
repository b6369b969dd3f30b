"""Several servers of one store: clients see each one as a broker while it is alive, and may use any of them for everything."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, EventLogError, StoreReplacedError
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.nodes import NODES_MAX, Node, Nodes, leader_of, node_of_key
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.support import workers
from tests.support.processes import Worker


def brokers(client: RawClient) -> dict[int, tuple[str, int]]:
    return {broker.node_id: (broker.host, broker.port) for broker in client.metadata().brokers}


def test_each_server_is_a_broker_of_all_clients(log: EventLog, server: RunningServer, client: RawClient) -> None:
    log.create_topic("wide", 5)
    assert brokers(client) == {1: server.address}
    with running_server(log) as other, RawClient(other.address) as others_client:
        assert brokers(client) == brokers(others_client) == {1: server.address, 2: other.address}
        answers = [each.metadata("wide") for each in (client, others_client)]
        assert [answer.controller_id for answer in answers] == [1, 1]
        leaders = [[partition.leader_id for partition in answer.topics[0].partitions] for answer in answers]
        assert leaders[0] == leaders[1]
        assert sorted(Counter(leaders[0]).values()) == [2, 3]
        for number in range(5):
            for each in (client, others_client):
                assert each.produce("wide", batch([b"a"]), partition=number).error_code == errors.NONE
                assert each.fetch("wide", 0, partition=number).error_code == errors.NONE
    assert brokers(client) == {1: server.address}
    assert {partition.leader_id for partition in client.metadata("wide").topics[0].partitions} == {1}


def test_a_killed_server_is_gone_and_its_number_is_free_again(
    store: Path, server: RunningServer, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.serve.nodes._EXPECTED_SECONDS", 0)
    for _ in range(2):
        with Worker(workers.serve, store) as worker:
            other = worker.receive()
            assert brokers(client) == {1: server.address, 2: other}
            worker.kill()
            assert brokers(client) == {1: server.address}


def test_a_killed_server_is_expected_back_and_meanwhile_leads_and_coordinates_nothing(
    log: EventLog, store: Path, server: RunningServer, client: RawClient
) -> None:
    log.create_topic("wide", 8)
    for _ in range(2):
        with Worker(workers.serve, store) as worker:
            other = worker.receive()
            assert brokers(client) == {1: server.address, 2: other}
            worker.kill()
        assert brokers(client) == {1: server.address, 2: other}
        assert {broker.broker_id for broker in client.ask("DescribeCluster", 0).brokers} == {1, 2}
        assert {partition.leader_id for partition in client.metadata("wide").topics[0].partitions} == {1}
        keys = [f"group-{number}" for number in range(8)]
        found = client.ask("FindCoordinator", 4, key_type=0, coordinator_keys=keys).coordinators
        assert {coordinator.node_id for coordinator in found} == {1}


def test_a_server_that_does_not_listen_yet_is_not_told(log: EventLog, server: RunningServer, client: RawClient) -> None:
    nodes = Nodes(log.store.path, 7)
    assert nodes.own_id == 7
    assert brokers(client) == {1: server.address}
    nodes.announce("x" * 253, 65_535)
    assert brokers(client) == {1: server.address, 7: ("x" * 253, 65_535)}
    nodes.withdraw()
    assert brokers(client) == {1: server.address}
    nodes.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_one_that_listens_everywhere_is_reached_on_the_address_that_the_client_uses(
    log: EventLog, server: RunningServer, client: RawClient, host: str
) -> None:
    nodes = Nodes(log.store.path)
    nodes.announce(host, 1234)
    assert brokers(client) == {1: server.address, 2: ("127.0.0.1", 1234)}
    nodes.close()


def test_numbers_are_used_up(log: EventLog) -> None:
    all_nodes = [Nodes(log.store.path, 60) for _ in range(NODES_MAX)]
    assert [nodes.own_id for nodes in all_nodes] == [*range(60, NODES_MAX + 1), *range(1, 60)]
    with pytest.raises(EventLogError, match="64 servers already"):
        Nodes(log.store.path)
    for nodes in all_nodes:
        nodes.close()


def test_the_wanted_number_is_taken_if_it_is_free(log: EventLog) -> None:
    with running_server(log, Settings(number=5)) as server, RawClient(server.address) as client:
        assert brokers(client) == {5: server.address}
        with running_server(log, Settings(number=5)) as other:
            assert brokers(client) == {5: server.address, 6: other.address}


def test_a_server_whose_file_was_deleted_says_so(store: Path) -> None:
    with eventlog.open(store) as log, running_server(log) as server:
        server.server.check()
        (store / "shared" / "servers").unlink()
        with pytest.raises(StoreReplacedError):
            server.server.check()


def test_a_key_changes_its_server_only_if_that_one_goes() -> None:
    nodes = [Node(number, "localhost", number) for number in range(1, 6)]
    keys = [f"group-{number}" for number in range(1000)]
    before = {key: node_of_key(nodes, key) for key in keys}
    assert min(Counter(before.values()).values()) > 100
    without = {key: node_of_key(nodes[1:], key) for key in keys}
    assert all(without[key] == before[key] for key in keys if before[key] != nodes[0])
    assert set(without.values()) == set(nodes[1:])


def test_topics_of_one_partition_are_spread() -> None:
    nodes = [Node(number, "localhost", number) for number in range(1, 4)]
    assert min(Counter(leader_of(nodes, f"topic-{number}", 0).id for number in range(300)).values()) > 50
