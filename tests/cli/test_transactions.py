"""`eventlog transactions`: what is open, and how it is aborted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import eventlog
from eventlog import TopicPartition
from eventlog.transactions.states import Identity
from tests.cli.command_line import CommandLine


@pytest.fixture
def identity(shop: CommandLine) -> Iterator[Identity]:
    """A producer with an open transaction in a partition, beside one without."""
    with eventlog.open(shop.store) as log:
        coordinator = log.open_transactions.coordinator
        state = coordinator.init("payments", 60_000)
        identity = Identity("payments", state.producer_id, state.epoch)
        coordinator.add_partitions(identity, [TopicPartition("orders", 0)])
        coordinator.add_group(identity, "readers")
        yield identity


def test_transactions_are_listed(shop: CommandLine, identity: Identity) -> None:
    assert [line.split()[0] for line in shop.output("transactions", "list").splitlines()[1:]] == ["idle", "payments"]
    (found,) = shop.objects("transactions", "list", "--open", "--json")
    assert (found["transactional_id"], found["state"], found["partitions"]) == ("payments", "Ongoing", [["orders", 0]])
    assert (found["producer_id"], found["groups"]) == (identity.producer_id, ["readers"])


def test_one_is_described(shop: CommandLine, identity: Identity) -> None:
    shown = shop.output("transactions", "describe", "payments")
    assert "orders/0" in shown
    assert "readers" in shown


def test_one_is_aborted(shop: CommandLine, identity: Identity) -> None:
    assert "would abort" in shop.output("transactions", "abort", "payments")
    assert "payments" in shop.output("transactions", "list", "--open")
    assert "aborted" in shop.output("transactions", "abort", "payments", "--execute")
    assert "payments" not in shop.output("transactions", "list", "--open")
    assert "no transaction is open" in shop.output("transactions", "abort", "payments", "--execute")
