"""DescribeCluster."""

from __future__ import annotations

import pytest

from eventlog.serve import errors
from tests.serve.client import RawClient

BROKERS, CONTROLLERS = 1, 2


@pytest.mark.parametrize("version", range(3))
def test_the_server_is_the_only_broker_and_the_controller(client: RawClient, version: int) -> None:
    answer = client.ask("DescribeCluster", version)
    assert (answer.error_code, answer.controller_id) == (errors.NONE, 1)
    assert [(each.broker_id, each.host, each.port) for each in answer.brokers] == [(1, *client.socket.getpeername())]
    assert answer.cluster_id == client.metadata(version=12).cluster_id
    assert answer.cluster_authorized_operations == -(2**31)


def test_everything_may_be_done_with_a_cluster_without_users(client: RawClient) -> None:
    answer = client.ask("DescribeCluster", 0, include_cluster_authorized_operations=True)
    bits = {bit for bit in range(32) if answer.cluster_authorized_operations >> bit & 1}
    assert bits == {5, 7, 8, 9, 10, 11, 12}


@pytest.mark.parametrize(("endpoint", "code"), [(CONTROLLERS, 114), (0, 115), (7, 115)])
def test_a_broker_is_no_controller(client: RawClient, endpoint: int, code: int) -> None:
    answer = client.ask("DescribeCluster", 2, endpoint_type=endpoint)
    assert (answer.error_code, answer.endpoint_type, list(answer.brokers)) == (code, BROKERS, [])
