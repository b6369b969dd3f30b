"""`eventlog topics`."""

from __future__ import annotations

import pytest

import eventlog
from tests.cli.command_line import CommandLine


def test_create_makes_the_store_and_the_topic_with_its_settings(cli: CommandLine) -> None:
    cli.output("topics", "create", "orders", "--partitions", "4", "--config", "retention.ms=1000")
    with eventlog.open(cli.store, create=False) as log:
        topic = log.topic("orders")
        assert (topic.partitions, topic.config) == (4, {"retention.ms": 1000})


def test_list_is_sorted_by_name(cli: CommandLine) -> None:
    for name in ("pear", "apple", "fig"):
        cli.output("topics", "create", name)
    assert [item["topic"] for item in cli.objects("topics", "list", "--json")] == ["apple", "fig", "pear"]
    assert [line.split()[0] for line in cli.output("topics", "list").splitlines()] == ["TOPIC", "apple", "fig", "pear"]


def test_list_of_a_store_without_topics_prints_no_object(cli: CommandLine) -> None:
    eventlog.open(cli.store).close()
    assert cli.objects("topics", "list", "--json") == []


def test_describe_shows_settings_and_offsets(shop: CommandLine) -> None:
    [described] = shop.objects("topics", "describe", "orders", "--json")
    assert (described["topic"], described["partitions"], described["config"]) == ("orders", 2, {})
    assert [(row["start_offset"], row["end_offset"]) for row in described["offsets"]] == [(0, 3), (0, 0)]
    assert described["settings"]["segment.ms"] == 604_800_000
    assert (described["records"], described["segments"], described["groups"]) == (
        3,
        1,  # nobody has opened partition 1 yet
        [{"group": "billing", "members": 0, "lag": 2}],
    )
    assert (described["oldest_timestamp"], described["newest_timestamp"], described["records_per_second"]) == (1000, 3000, 0.0)
    size = described["size_bytes"]
    assert size == described["offsets"][0]["size_bytes"] > 0
    words = [line.split() for line in shop.output("topics", "describe", "orders").splitlines()]
    assert ["0", "0", "3", "3", "1", str(size), "B", "0", "1970-01-01T00:00:03Z"] in words
    assert ["1", "0", "0", "0", "0", "0", "B", "-", "-"] in words
    assert ["billing", "0", "2"] in words


def test_describe_marks_the_settings_that_were_given(cli: CommandLine) -> None:
    cli.output("topics", "create", "orders", "--config", "retention.ms=1000")
    lines = [line.split() for line in cli.output("topics", "describe", "orders").splitlines()]
    assert ["retention.ms", "1000", "given"] in lines
    assert ["retention.bytes", "-1", "default"] in lines
    cli.output("topics", "alter", "orders", "--unset", "retention.ms")
    lines = [line.split() for line in cli.output("topics", "describe", "orders").splitlines()]
    assert ["retention.ms", "-1", "default"] in lines


def test_list_shows_how_much_is_in_a_topic(cli: CommandLine) -> None:
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", partitions=2)
        for partition in range(2):
            log.partition("orders", partition).append_many([b"x" * 1000] * 6000)
    [listed] = cli.objects("topics", "list", "--json")
    assert listed["records"] == 12_000
    assert 12_000_000 < listed["size_bytes"] < 12_200_000
    assert cli.output("topics", "list").splitlines()[1].split()[:6] == ["orders", "2", "12.0", "k", "11.6", "MiB"]


@pytest.mark.parametrize("setting", ["retention.ms", "=5", ""])
def test_a_setting_that_is_not_key_and_value_is_wrong_usage(cli: CommandLine, setting: str) -> None:
    assert "KEY=VALUE" in cli.error("topics", "create", "orders", "--config", setting, status=2)
    assert not cli.store.exists()


def test_a_setting_given_twice_is_wrong_usage(cli: CommandLine) -> None:
    arguments = ("--config", "retention.ms=1", "--config", "retention.ms=2")
    assert "twice" in cli.error("topics", "create", "orders", *arguments, status=2)


@pytest.mark.parametrize("setting", ["retention.sm=5", "retention.ms=soon", "retention.ms=" + "9" * 5000])
def test_a_setting_that_kafka_has_not_fails_and_no_topic_is_made(shop: CommandLine, setting: str) -> None:
    shop.error("topics", "create", "more", "--config", setting)
    assert [item["topic"] for item in shop.objects("topics", "list", "--json")] == ["orders"]


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_number_of_partitions_that_cannot_be_is_wrong_usage(cli: CommandLine, number: str) -> None:
    assert "--partitions" in cli.error("topics", "create", "orders", "--partitions", number, status=2)
