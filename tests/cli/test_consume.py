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


@pytest.mark.parametrize(("offset", "offsets"), [("0", [0, 1, 2]), ("2", [2]), ("3", []), ("0" * 30 + "2", [2])])
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


@pytest.mark.parametrize("start", ["tomorrow", "-1", "9" * 30, "2026-13-01", "1.5", ""])
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


def test_follow_prints_what_comes_in_partitions_that_are_added(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--follow")
    assert process.stdout is not None
    while process.stdout.readline() != b"first\n":
        pass
    with eventlog.open(shop.store) as log:
        log.alter_topic("orders", partitions=5)
        log.partition("orders", 4).append(b"added")
    while process.stdout.readline() != b"added\n":
        pass
    with eventlog.open(shop.store) as log:
        log.delete_topic("orders")
        log.create_topic("orders")
        log.partition("orders", 0).append(b"made anew")
    while process.stdout.readline() != b"made anew\n":
        pass
    process.kill()
    process.communicate()


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


@pytest.fixture
def mixed(shop: CommandLine) -> CommandLine:
    """A topic `mixed` of two partitions whose timestamps go back and forth."""
    with eventlog.open(shop.store) as log:
        log.create_topic("mixed", partitions=2)
        log.partition("mixed", 0).append_many(
            [b"0", b"1", b"2", b"3"],
            keys=[b"a", b"b", None, b"a"],
            headers=[[("x", b"1")], [("x", b"2"), ("y", None)], None, [("x", b"2"), ("x", b"1")]],
            timestamps=[3000, 1000, 2000, 1500],
        )
        log.partition("mixed", 1).append_many([b"4", b"5"], keys=[b"aa", b"b"], timestamps=[2000, 4000])
    return shop


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (("--key", "a"), "03"),
        (("--key", "a", "--key", "aa"), "034"),
        (("--key", "absent"), ""),
        (("--key", ""), ""),
        (("--header", "x"), "013"),
        (("--header", "y"), "1"),
        (("--header", "y="), ""),
        (("--header", "x=1"), "03"),
        (("--header", "x=1", "--header", "x=2"), "3"),
        (("--header", "x", "--key", "b"), "1"),
        (("--from", "1970-01-01T00:00:02"), "0245"),
        (("--to", "1970-01-01T00:00:02"), "13"),
        (("--from", "1970-01-01T00:00:01.500", "--to", "1970-01-01T00:00:03"), "234"),
        (("--partition", "0", "--from", "1", "--to", "3"), "12"),
        (("--partition", "0", "--to", "0"), ""),
        (("--partition", "0", "--to", "100"), "0123"),
        (("--partition", "0", "--from", "3", "--to", "1"), ""),
        (("--partition", "1", "--partition", "0", "--partition", "1"), "012345"),
        (("--last", "1"), "35"),
        (("--last", "3"), "12345"),
        (("--last", "100"), "012345"),
        (("--last", "2", "--key", "b"), "5"),
        (("--partition", "0", "--last", "2", "--to", "3"), "12"),
        (("--key", "b", "--max", "1"), "1"),
        (("--key", "b", "--max", "2"), "15"),
    ],
)
def test_only_some_records(mixed: CommandLine, options: tuple[str, ...], values: str) -> None:
    assert mixed.output("consume", "mixed", *options).split() == list(values)
    counts = mixed.objects("consume", "mixed", *options, "--count", "--json")
    assert counts.pop() == {"topic": "mixed", "partition": None, "records": len(values)}
    assert sum(item["records"] for item in counts) == len(values)


def test_counts_of_each_partition_and_the_total(mixed: CommandLine) -> None:
    assert mixed.output("consume", "mixed", "--count").split() == ["PARTITION", "RECORDS", "0", "4", "1", "2", "total", "6"]


def test_the_last_records_are_counted_where_offsets_have_gaps(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        log.create_topic("gaps", config={"cleanup.policy": "compact", "segment.bytes": 1024})
        partition = log.partition("gaps", 0)
        for number in range(60):
            partition.append(b"%02d" % number + bytes(100), key=b"k")
        directory, bases = partition.directory, [int(path.stem) for path in sorted(partition.directory.glob("*.log"))]
    for base in bases[2:5]:
        for path in directory.glob(f"{base:020}.*"):
            path.unlink()
    left = [number for number in range(60) if not bases[2] <= number < bases[5]]
    for count in (1, 60 - bases[5], 61 - bases[5], len(left), 100):
        printed = shop.objects("consume", "gaps", "--json", "--last", str(count))
        assert [item["offset"] for item in printed] == left[-count:]


def test_follow_prints_only_what_is_selected(mixed: CommandLine) -> None:
    process = mixed.start("consume", "mixed", "--last", "1", "--key", "b", "--follow", "--max", "3")
    assert process.stdout is not None
    assert process.stdout.readline() == b"5\n"
    with eventlog.open(mixed.store) as log:
        partition = log.partition("mixed", 0)
        partition.append_many([b"no", b"yes"], keys=[b"a", b"b"])
        assert process.stdout.readline() == b"yes\n"
        partition.append_many([b"no", b"at last"], keys=[None, b"b"])
    assert process.communicate(timeout=SECONDS_MAX) == (b"at last\n", b"")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--last", "1", "--from", "latest"), "--last"),
        (("--last", "0"), "--last"),
        (("--follow", "--to", "2040-01-01"), "--to"),
        (("--follow", "--count"), "--count"),
        (("--count", "--format", "json"), "--count"),
        (("--json", "--format", "{key}"), "--json"),
        (("--to", "3"), "--partition"),
        (("--to", "earliest"), "--to"),
        (("--partition", "0", "--partition", "1", "--from", "0"), "--partition"),
        (("--group", "g", "--to", "2040-01-01"), "--to"),
        (("--group", "g", "--last", "1"), "--last"),
        (("--group", "g", "--count"), "--count"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(
    mixed: CommandLine, options: tuple[str, ...], told: str
) -> None:
    assert told in mixed.error("consume", "mixed", *options, status=2)
