"""`eventlog groups`, and `eventlog consume --group`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

import eventlog
from eventlog import TopicPartition
from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine


def append(cli: CommandLine, values: list[bytes], partition: int = 0) -> None:
    with eventlog.open(cli.store) as log:
        log.partition("orders", partition).append_many(values)


def committed(cli: CommandLine, group: str) -> dict[int, int]:
    with eventlog.open(cli.store) as log:
        return {partition.partition: offset for partition, offset in log.group(group).committed().items()}


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


def test_a_group_goes_on_where_it_was(shop: CommandLine) -> None:
    assert shop.run("consume", "orders", "--group", "billing").stdout == b"\xff\x00\n\n"
    assert shop.run("consume", "orders", "--group", "billing").stdout == b""
    append(shop, [b"new"], partition=1)
    assert shop.run("consume", "orders", "--group", "billing").stdout == b"new\n"
    assert committed(shop, "billing") == {0: 3, 1: 1}


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
def test_max_commits_exactly_what_was_printed(shop: CommandLine, limit: int) -> None:
    printed = shop.objects("consume", "orders", "--group", "reports", "--max", str(limit), "--json") if limit else []
    assert len(printed) == min(limit, 3)
    if limit:
        assert committed(shop, "reports") == {0: min(limit, 3)}


def test_from_the_latest_begins_behind_what_is_there(shop: CommandLine) -> None:
    assert shop.output("consume", "orders", "--group", "late", "--from", "latest") == ""
    append(shop, [b"new"])
    assert shop.output("consume", "orders", "--group", "late", "--from", "latest") == "new\n"


@pytest.mark.parametrize("option", [("--partition", "0"), ("--from", "1"), ("--from", "2026-11-01")])
def test_what_does_not_go_with_a_group_is_wrong_usage(shop: CommandLine, option: tuple[str, str]) -> None:
    assert f"{option[0]}" in shop.error("consume", "orders", "--group", "billing", *option, status=2)


def test_ctrl_c_commits_what_was_printed_and_leaves_the_group(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--group", "billing", "--follow", "--json")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["offset"] for _ in range(2)] == [1, 2]
    append(shop, [b"new"])
    assert json.loads(process.stdout.readline())["offset"] == 3
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=SECONDS_MAX) == (b"", b"")
    assert process.returncode == 130
    assert committed(shop, "billing") == {0: 4}
    assert shop.objects("groups", "list", "--json")[0]["members"] == 0


def test_what_nobody_could_read_is_not_acknowledged(shop: CommandLine) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, "consume", "orders", "--group", "billing"], env=shop.environment(), stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert committed(shop, "billing") == {0: 1}


def test_two_terminals_share_a_topic_and_print_every_record_once(shop: CommandLine) -> None:
    processes = [shop.start("consume", "orders", "--group", "shared", "--follow", "--json") for _ in range(2)]
    with eventlog.open(shop.store) as log:
        deadline = time.monotonic() + SECONDS_MAX
        while not (len(log.groups()) == 2 and _has_two_owners(log)):
            assert time.monotonic() < deadline, "the terminals do not share the partitions"
        producer = log.producer()
        receipts = [producer.send("orders", b"%d" % number, partition=number % 2) for number in range(100)]
        sent = 3 + len(receipts)
        assert all(receipt.wait_acked("shared", timeout=SECONDS_MAX) for receipt in receipts)
    places = []
    for process in processes:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS_MAX)
        places += [(item["partition"], item["offset"]) for item in map(json.loads, output.splitlines())]
    assert len(places) == len(set(places)) == sent


def _has_two_owners(log: eventlog.EventLog) -> bool:
    members = log.group("shared").describe().members
    return sorted(member.partitions for member in members) == [
        (TopicPartition("orders", 0),), (TopicPartition("orders", 1),)
    ]  # fmt: skip
