"""`eventlog grep`."""

from __future__ import annotations

import pytest

import eventlog
from tests.cli.command_line import CommandLine

NOTHING_FOUND = 3


@pytest.fixture
def fruit(cli: CommandLine) -> CommandLine:
    """A topic of two partitions with five records, at times 1000 to 5000 ms."""
    with eventlog.open(cli.store) as log:
        log.create_topic("fruit", partitions=2)
        log.partition("fruit", 0).append_many(
            [b"a plum (ripe)", b"a Pear", None], keys=[b"k", b"plum", b"k"], timestamps=[1000, 2000, 3000]
        )
        log.partition("fruit", 1).append_many(
            [b"\xff plum\n", "eine gr\xfcne Birne".encode()], headers=[None, [("plum", b"pear")]], timestamps=[4000, 5000]
        )
    return cli


def places(cli: CommandLine, *arguments: str) -> list[tuple[int, int]]:
    done = cli.objects("grep", *arguments, "--json")
    return [(item["partition"], item["offset"]) for item in done]


def test_values_are_printed_as_they_are(fruit: CommandLine) -> None:
    assert fruit.run("grep", "plum", "fruit").stdout == b"a plum (ripe)\n\xff plum\n\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("plum",), [(0, 0), (1, 0)]),
        (("p(lum|ear)",), [(0, 0), (1, 0)]),
        (("^a .*[rt]$",), [(0, 1)]),
        (("(ripe)", "--fixed"), [(0, 0)]),
        (("(ripe)",), [(0, 0)]),
        (("PEAR", "--ignore-case"), [(0, 1)]),
        (("PEAR", "--ignore-case", "--fixed"), [(0, 1)]),
        (("plum", "--in", "key"), [(0, 1)]),
        (("plum", "--in", "headers"), [(1, 1)]),
        (("pear", "--in", "headers", "--in", "value", "--ignore-case"), [(0, 1), (1, 1)]),
        (("plum", "--invert"), [(0, 1), (0, 2), (1, 1)]),
        (("gr\xfcne",), [(1, 1)]),
        (("plum", "--partition", "1"), [(1, 0)]),
        (("a", "--partition", "0", "--from", "1"), [(0, 1)]),
        (("", "--partition", "0", "--to", "1"), [(0, 0)]),
        (("", "--from", "1970-01-01T00:00:02", "--to", "1970-01-01T00:00:05"), [(0, 1), (1, 0)]),
        (("", "--last", "1"), [(1, 1)]),
        (("a", "--key", "plum"), [(0, 1)]),
        (("e", "--header", "plum=pear"), [(1, 1)]),
        (("e", "--max", "2"), [(0, 0), (0, 1)]),
    ],
)
def test_what_is_found(fruit: CommandLine, arguments: tuple[str, ...], expected: list[tuple[int, int]]) -> None:
    pattern, *options = arguments
    assert places(fruit, pattern, "fruit", *options) == expected


def test_a_pattern_that_begins_with_a_dash_stands_behind_two_dashes(fruit: CommandLine) -> None:
    with eventlog.open(fruit.store) as log:
        log.partition("fruit", 0).append(b"--count")
    assert fruit.run("grep", "--", "--c", "fruit").stdout == b"--count\n"


@pytest.mark.parametrize("options", [(), ("--count",), ("--json",), ("--count", "--json"), ("--invert", "--key", "absent")])
def test_nothing_found_has_a_status_of_its_own_and_no_error(fruit: CommandLine, options: tuple[str, ...]) -> None:
    done = fruit.run("grep", "a cherry", "fruit", *options)
    assert (done.returncode, done.stderr) == (NOTHING_FOUND, b"")
    assert bool(done.stdout) == ("--count" in options)


def test_counts_stop_at_the_maximum(fruit: CommandLine) -> None:
    assert [item["records"] for item in fruit.objects("grep", "e", "fruit", "--count", "--json")] == [2, 1, 3]
    assert [item["records"] for item in fruit.objects("grep", "e", "fruit", "--count", "--json", "--max", "1")] == [1, 0, 1]
    assert fruit.output("grep", "e", "fruit", "--count").split() == ["PARTITION", "RECORDS", "0", "2", "1", "1", "total", "3"]


@pytest.mark.parametrize("pattern", ["(", "[a", "a**", "(?P<x>a)(?P<x>b)", "(?u)a", "a{2,1}", "\\"])
def test_what_is_no_regular_expression_is_wrong_usage(fruit: CommandLine, pattern: str) -> None:
    assert "--fixed" in fruit.error("grep", pattern, "fruit", status=2)


def test_a_doubtful_expression_gives_no_warning(fruit: CommandLine) -> None:
    assert fruit.output("grep", "[[p]lum", "fruit", "--count")


def test_a_place_to_look_that_does_not_exist_is_wrong_usage(fruit: CommandLine) -> None:
    assert "--in" in fruit.error("grep", "plum", "fruit", "--in", "values", status=2)


def test_what_is_not_text_can_be_searched_for(fruit: CommandLine) -> None:
    done = fruit.run("grep", b"\xff", "fruit")
    assert done.stdout == b"\xff plum\n\n"
