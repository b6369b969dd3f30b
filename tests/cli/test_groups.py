"""`eventlog groups`."""

from __future__ import annotations

import os

import eventlog
from tests.cli.command_line import CommandLine


def test_list_shows_each_group(shop: CommandLine) -> None:
    header, row = shop.output("groups", "list").splitlines()
    assert header.split() == ["GROUP", "GENERATION", "MEMBERS", "PARTITIONS", "LAG"]
    assert row.split()[0] == "billing" and row.split()[2:] == ["0", "1", "2"]


def test_describe_shows_where_a_group_is(shop: CommandLine) -> None:
    [row] = shop.objects("groups", "describe", "billing", "--json")
    assert (row["partition"], row["committed"], row["end"], row["lag"], row["member"]) == (0, 1, 3, 2, None)
    text = shop.output("groups", "describe", "billing")
    assert "generation" in text and text.splitlines()[-1].split() == ["orders", "0", "1", "3", "2", "-", "-", "-"]


def test_describe_shows_who_has_what(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log, log.consumer("orders", group="billing") as consumer:
        consumer.poll(timeout=0)
        rows = shop.objects("groups", "describe", "billing", "--json")
        assert [row["process"] for row in rows] == [os.getpid()] * 2
        assert [row["committed"] for row in rows] == [1, None]
        with log.consumer("other", group="billing") as idle:
            idle.poll(timeout=0)
            last = shop.objects("groups", "describe", "billing", "--json")[-1]
            assert last["topic"] is None and last["process"] == os.getpid()


def test_a_group_that_is_not_there_is_an_error(shop: CommandLine) -> None:
    assert "no consumer group 'nothing'" in shop.error("groups", "describe", "nothing")


def test_list_and_describe_make_nothing(shop: CommandLine) -> None:
    before = sorted(shop.store.rglob("*"))
    shop.output("groups", "list")
    shop.output("groups", "describe", "billing")
    shop.error("groups", "describe", "nothing")
    assert sorted(shop.store.rglob("*")) == before
    assert [group["group"] for group in shop.objects("groups", "list", "--json")] == ["billing"]


def test_list_of_a_store_without_groups_has_only_a_heading(cli: CommandLine) -> None:
    cli.output("topics", "create", "orders")
    assert cli.output("groups", "list").split() == ["GROUP", "GENERATION", "MEMBERS", "PARTITIONS", "LAG"]
    assert cli.objects("groups", "list", "--json") == []


def test_the_lag_of_a_group_that_has_committed_nothing_is_unknown(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log, log.consumer("orders", group="new") as consumer:
        consumer.poll(timeout=0)
        [group] = [item for item in shop.objects("groups", "list", "--json") if item["group"] == "new"]
        assert (group["members"], group["partitions"], group["lag"]) == (1, 0, None)
        assert shop.output("groups", "list").splitlines()[-1].split()[2:] == ["1", "0", "-"]
        rows = [line.split() for line in shop.output("groups", "describe", "new").splitlines()[-2:]]
        assert [row[:5] for row in rows] == [["orders", "0", "-", "3", "-"], ["orders", "1", "-", "0", "-"]]
        assert [row["assignor"] for row in shop.objects("groups", "describe", "new", "--json")] == ["cooperative-sticky"] * 2
