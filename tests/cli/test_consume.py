"""`eventlog consume`."""

from __future__ import annotations

import json
import signal

import pytest

import eventlog
from tests.cli.command_line import SECONDS_MAX, CommandLine, assert_one_error


def append(cli: CommandLine, values: list[bytes], partition: int = 0) -> None:
    with eventlog.open(cli.store) as log:
        log.partition("orders", partition).append_many(values)


def test_values_are_the_bytes_as_they_are_and_a_null_is_an_empty_line(shop: CommandLine) -> None:
    assert shop.run("consume", "orders").stdout == b"first\n\xff\x00\n\n"


def test_json_tells_text_bytes_and_null_apart(shop: CommandLine) -> None:
    first, second, third = shop.objects("consume", "orders", "--format", "json")
    assert first == {
        "topic": "orders",
        "partition": 0,
        "offset": 0,
        "timestamp": 1000,
        "key": "k",
        "value": "first",
        "headers": [["trace", "1"], ["trace", None]],
    }
    assert (second["key"], second["value"]) == (None, {"base64": "/wA="})
    assert (third["key"], third["value"]) == ({"base64": "/g=="}, None)


def test_json_is_the_same_as_format_json(shop: CommandLine) -> None:
    assert shop.output("consume", "orders", "--json") == shop.output("consume", "orders", "--format", "json")


def test_all_partitions_are_printed_one_after_the_other(shop: CommandLine) -> None:
    append(shop, [b"x", b"y"], partition=1)
    places = [(item["partition"], item["offset"]) for item in shop.objects("consume", "orders", "--json")]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_one_partition_alone(shop: CommandLine) -> None:
    append(shop, [b"x", b"y"], partition=1)
    assert shop.output("consume", "orders", "--partition", "1") == "x\ny\n"


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 5, 9])
def test_max_counts_over_all_partitions(shop: CommandLine, limit: int) -> None:
    append(shop, [b"x", b"y"], partition=1)
    assert len(shop.objects("consume", "orders", "--json", "--max", str(limit))) == min(limit, 5)


@pytest.mark.parametrize(
    ("start", "offsets"),
    [
        ("earliest", [0, 1, 2]),
        ("latest", []),
        ("1970-01-01", [0, 1, 2]),
        ("1969-12-31T23:59", [0, 1, 2]),
        ("1970-01-01T00:00:01.001", [1, 2]),
        ("1970-01-01T01:00:02+01:00", [1, 2]),
        ("2040-01-01", []),
    ],
)
def test_from_a_place_or_a_time(shop: CommandLine, start: str, offsets: list[int]) -> None:
    assert [item["offset"] for item in shop.objects("consume", "orders", "--json", "--from", start)] == offsets


@pytest.mark.parametrize(("offset", "offsets"), [("0", [0, 1, 2]), ("2", [2]), ("3", [])])
def test_from_an_offset_of_one_partition(shop: CommandLine, offset: str, offsets: list[int]) -> None:
    printed = shop.objects("consume", "orders", "--json", "--partition", "0", "--from", offset)
    assert [item["offset"] for item in printed] == offsets


def test_an_offset_without_a_partition_is_wrong_usage_when_there_are_several(shop: CommandLine) -> None:
    assert "--partition" in shop.error("consume", "orders", "--from", "0", status=2)


@pytest.mark.parametrize("option", [(), ("--max", "0")])
def test_an_offset_out_of_range_fails(shop: CommandLine, option: tuple[str, ...]) -> None:
    assert "out of range" in shop.error("consume", "orders", "--partition", "0", "--from", "4", *option)


def test_a_partition_that_is_not_there_fails(shop: CommandLine) -> None:
    assert "no partition 2" in shop.error("consume", "orders", "--partition", "2")


@pytest.mark.parametrize("start", ["yesterday", "-1", "9" * 30, "2026-13-01", "1.5", ""])
def test_a_start_that_means_nothing_is_wrong_usage(shop: CommandLine, start: str) -> None:
    assert "--from" in shop.error("consume", "orders", "--from", start, status=2)


def test_follow_prints_what_is_there_and_what_comes_in_any_partition_until_interrupted(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--json", "--follow")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["offset"] for _ in range(3)] == [0, 1, 2]
    for partition in (1, 0, 0, 1):
        append(shop, [b"new"], partition=partition)
        assert json.loads(process.stdout.readline())["partition"] == partition
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=SECONDS_MAX) == (b"", b"")
    assert process.returncode == 130


def test_follow_from_the_latest_prints_only_what_comes(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--follow", "--from", "latest", "--max", "2")
    # Nothing tells when it waits, so it is fed until it has had enough.
    while process.poll() is None:
        append(shop, [b"new"] * 3)
    assert process.stdout is not None
    assert process.stdout.read() == b"new\nnew\n"
    assert process.returncode == 0


def test_follow_stops_after_the_maximum_that_is_there_already(shop: CommandLine) -> None:
    assert len(shop.objects("consume", "orders", "--json", "--follow", "--max", "2")) == 2


def test_follow_ends_quietly_when_its_reader_goes_away_though_nothing_comes(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--follow", "--json")
    assert process.stdout is not None and process.stderr is not None
    for _ in range(3):
        process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert process.stderr.read() == b""


def test_a_reader_that_goes_away_in_the_middle_ends_it_quietly(shop: CommandLine) -> None:
    append(shop, [b"x" * 100] * 10_000)
    process = shop.start("consume", "orders")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert process.stderr.read() == b""


def test_damage_is_one_line_of_error_and_nothing_behind_it_is_printed(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        for value in (b"second", b"third"):
            # A time of today would begin a new segment.
            log.partition("orders", 0).append(value, timestamp=4000)
    [path] = (shop.store / "logs" / "orders-0").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"second", b"secoNd"))
    done = shop.run("consume", "orders")
    assert_one_error(done.returncode, done.stderr, 1)
    assert str(path).encode() in done.stderr
    assert b"first\n\xff\x00\n\n".startswith(done.stdout)
