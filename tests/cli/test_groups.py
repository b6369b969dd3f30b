"""`eventlog groups`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import eventlog
from eventlog import StaleMemberError, TopicPartition
from tests.cli.command_line import CommandLine


def test_list_shows_each_group(shop: CommandLine) -> None:
    header, row = shop.output("groups", "list").splitlines()
    assert header.split() == ["GROUP", "GENERATION", "MEMBERS", "PARTITIONS", "LAG"]
    assert row.split()[0] == "billing" and row.split()[2:] == ["0", "1", "2"]


def test_describe_shows_where_a_group_is(shop: CommandLine) -> None:
    [row] = shop.objects("groups", "describe", "billing", "--json")
    assert (row["partition"], row["committed"], row["end"], row["lag"], row["member"]) == (0, 1, 3, 2, None)
    text = shop.output("groups", "describe", "billing")
    assert "generation" in text
    columns = text.splitlines()[-1].split()
    assert columns[:5] == ["orders", "0", "1", "3", "2"] and columns[-2:] == ["-"] * 2
    with eventlog.open(shop.store) as log:
        assert row["lag_bytes"] == int(columns[5]) == log.partition("orders", 0).bytes_from(1)
    assert row["lag_seconds"] > 1_000_000_000  # the records are from 1970
    assert columns[6:9] == ["B", columns[7], "d"]


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


def test_the_lag_of_a_group_that_has_committed_nothing_counts_from_where_it_began(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log, log.consumer("orders", group="new") as consumer:
        consumer.poll(timeout=0)
        [group] = [item for item in shop.objects("groups", "list", "--json") if item["group"] == "new"]
        assert (group["members"], group["partitions"], group["lag"]) == (1, 2, 3)
        assert shop.output("groups", "list").splitlines()[-1].split()[2:] == ["1", "2", "3"]
        rows = [line.split() for line in shop.output("groups", "describe", "new").splitlines()[-2:]]
        assert [row[:5] for row in rows] == [["orders", "0", "-", "3", "3"], ["orders", "1", "-", "0", "0"]]
        assert [row["assignor"] for row in shop.objects("groups", "describe", "new", "--json")] == ["cooperative-sticky"] * 2


def committed(shop: CommandLine) -> dict[int, int]:
    return {item["partition"]: item["offset"] for item in shop.objects("groups", "export", "billing")}


@pytest.mark.parametrize(
    ("options", "after"),
    [
        (("--topic", "orders", "--to", "latest"), {0: 3, 1: 0}),
        (("--topic", "orders:0", "--to", "earliest"), {0: 0}),
        (("--topic", "orders:1,0", "--to", "0"), {0: 0, 1: 0}),
        (("--all-topics", "--to", "1970-01-01T00:00:02"), {0: 1}),
        (("--all-topics", "--to", "2 hours ago"), {0: 3}),
        (("--all-topics", "--shift", "1"), {0: 2}),
        (("--all-topics", "--shift", "-9"), {0: 0}),
    ],
)
def test_reset_shows_what_it_would_do_and_does_it_with_execute(
    shop: CommandLine, options: tuple[str, ...], after: dict[int, int]
) -> None:
    planned = shop.objects("groups", "reset", "billing", *options, "--json")
    assert {row["partition"]: row["after"] for row in planned} == after
    assert {row["partition"]: row["before"] for row in planned} == {number: {0: 1}.get(number) for number in after}
    assert not any(row["executed"] for row in planned) and committed(shop) == {0: 1}
    done = shop.objects("groups", "reset", "billing", *options, "--execute", "--json")
    assert done == [{**row, "executed": True} for row in planned]
    assert committed(shop) == {0: 1, **after}


def test_the_table_of_a_reset_says_whether_it_was_done(shop: CommandLine) -> None:
    arguments = ("groups", "reset", "billing", "--topic", "orders:1", "--to", "latest")
    assert shop.output(*arguments).splitlines()[1].split() == ["orders", "1", "-", "0", "dry", "run"]
    assert shop.output(*arguments, "--execute").splitlines()[1].split() == ["orders", "1", "-", "0", "reset"]


def test_what_was_exported_brings_the_group_back_to_where_it_was(shop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "offsets.jsonl"
    file.write_text(shop.output("groups", "export", "billing"))
    assert json.loads(file.read_text()) == {"group": "billing", "topic": "orders", "partition": 0, "offset": 1}
    shop.output("groups", "reset", "billing", "--all-topics", "--to", "latest", "--execute")
    shop.output("groups", "reset", "billing", "--from-file", file, "--execute")
    assert committed(shop) == {0: 1}


@pytest.mark.parametrize(
    "line", ["", "[]", "1", "{", '{"topic": "orders"}', '{"topic": "orders", "partition": "0", "offset": 1}', "[" * 100_000]
)
def test_a_file_without_offsets_is_an_error_that_names_it(shop: CommandLine, tmp_path: Path, line: str) -> None:
    file = tmp_path / "offsets.jsonl"
    file.write_text(line + "\n")
    assert str(file) in shop.error("groups", "reset", "billing", "--from-file", file, "--execute")


def test_a_file_that_names_a_partition_twice_is_an_error(shop: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "offsets.jsonl"
    file.write_text('{"topic": "orders", "partition": 0, "offset": 1}\n' * 2)
    assert "line 2: orders/0 occurs twice" in shop.error("groups", "reset", "billing", "--from-file", file)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ((), 2, "where to"),
        (("--to", "latest"), 2, "which partitions"),
        (("--to", "latest", "--shift", "1", "--all-topics"), 2, "where to"),
        (("--to", "latest", "--topic", "orders", "--all-topics"), 2, "which partitions"),
        (("--to", "tomorrow", "--all-topics"), 2, "2 hours ago"),
        (("--to", "latest", "--topic", "orders:x"), 2, "TOPIC/PARTITION"),
        (("--to", "4", "--topic", "orders:0"), 1, "4"),
        (("--to", "latest", "--topic", "orders:9"), 1, "no partition 9"),
        (("--to", "latest", "--topic", "nothing"), 1, "no topic"),
        (("--shift", "1", "--topic", "orders:1"), 1, "orders/1 cannot be shifted"),
    ],
)
def test_a_reset_that_cannot_be_is_refused(
    shop: CommandLine, options: tuple[str, ...], status: int, message: str
) -> None:
    assert message in shop.error("groups", "reset", "billing", *options, "--execute", status=status)
    assert committed(shop) == {0: 1}


def test_a_running_group_goes_on_from_where_it_was_reset_to(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log, log.consumer("orders", group="billing") as consumer:
        assert [record.offset for record in consumer.poll()] == [1, 2]
        shop.output("groups", "reset", "billing", "--topic", "orders:0", "--to", "earliest", "--execute")
        with pytest.raises(StaleMemberError):
            consumer.commit()
        assert [record.offset for record in consumer.poll()] == [0, 1, 2]
        consumer.commit()
        assert log.group("billing").committed()[TopicPartition("orders", 0)] == 3


def test_delete_refuses_a_group_in_use_and_then_deletes_it(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log, log.consumer("orders", group="billing") as consumer:
        consumer.poll(timeout=0)
        assert "live members" in shop.error("groups", "delete", "billing", "--execute")
        assert "members" in shop.output("groups", "delete", "billing")
    assert shop.output("groups", "delete", "billing", "--execute").endswith("deleted group billing\n")
    assert shop.objects("groups", "list", "--json") == []


def test_delete_shows_what_would_be_lost_and_does_nothing_without_execute(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        before = log.group("billing").committed()
    (shown,) = shop.objects("groups", "delete", "billing", "--json")
    offsets = {TopicPartition(each["topic"], each["partition"]): each["offset"] for each in shown["committed"]}
    assert (offsets, shown["deleted"]) == (before, False)
    assert shop.output("groups", "delete", "billing").endswith("nothing was deleted: use --execute to do it\n")
    with eventlog.open(shop.store) as log:
        assert log.group("billing").committed() == before != {}


def test_offsets_are_exported_imported_copied_deleted_and_brought_back(shop: CommandLine) -> None:
    exported = shop.output("groups", "export", "billing")
    file = shop.store.with_name("exported.jsonl")
    file.write_text(exported)
    shop.output("groups", "import", "audit", file)
    assert "no consumer group 'audit'" in shop.error("groups", "export", "audit")  # it was only shown
    assert shop.objects("groups", "import", "audit", file, "--execute", "--json") == [
        {"group": "audit", "topic": "orders", "partition": 0, "before": None, "after": 1, "executed": True}
    ]
    shop.output("groups", "copy", "audit", "third", "--execute")
    shop.output("groups", "delete-offsets", "third", "--topic", "orders", "--execute")
    assert shop.objects("groups", "export", "third") == []
    shop.output("groups", "undo", "third", "--execute")
    assert [row["offset"] for row in shop.objects("groups", "export", "third")] == [1]
    told = [(row["kind"], row["before"], row["after"]) for row in shop.objects("groups", "history", "third", "--json")]
    assert told == [("reset", None, 1), ("delete", 1, None), ("undo", None, 1)]
    file.write_text('{"topic": "orders", "partition": 0, "offset": 99}\n')
    assert "offset 99 of orders/0 is out of range" in shop.error("groups", "import", "fourth", file, "--execute")
    assert "no consumer group 'fourth'" in shop.error("groups", "export", "fourth")
