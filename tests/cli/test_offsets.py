"""`eventlog offsets`, and TIME as it and `consume --from` take it."""

from __future__ import annotations

import time

import pytest

from eventlog.cli.parsing import parse_time
from tests.cli.command_line import CommandLine


def test_offsets_of_every_partition(shop: CommandLine) -> None:
    table = [line.split() for line in shop.output("offsets", "orders").splitlines()]
    assert table == [
        ["PARTITION", "START", "END", "DURABLE", "RECORDS"],
        ["0", "0", "3", "3", "3"],
        ["1", "0", "0", "0", "0"],
    ]


def test_offsets_of_all_topics(shop: CommandLine) -> None:
    shop.output("topics", "create", "apples")
    table = [line.split() for line in shop.output("offsets").splitlines()]
    assert table == [
        ["TOPIC", "PARTITION", "START", "END", "DURABLE", "RECORDS"],
        ["apples", "0", "0", "0", "0", "0"],
        ["orders", "0", "0", "3", "3", "3"],
        ["orders", "1", "0", "0", "0", "0"],
    ]
    of_one = shop.objects("offsets", "orders", "--json")
    assert shop.objects("offsets", "--json")[1:] == of_one
    by_time = [line.split() for line in shop.output("offsets", "--time", "2000").splitlines()]
    assert by_time == [["TOPIC", "PARTITION", "OFFSET"], ["apples", "0", "-"], ["orders", "0", "1"], ["orders", "1", "-"]]


@pytest.mark.parametrize(
    ("time", "offset"),
    [("1970-01-01", 0), ("1970-01-01T00:00:02", 1), ("2001", 2), ("1970-01-01T00:00:03.001Z", None)],
)
def test_the_first_offset_at_or_after_a_time(shop: CommandLine, time: str, offset: int | None) -> None:
    found = [row["offset"] for row in shop.objects("offsets", "orders", "--time", time, "--json")]
    assert found == [offset, None]
    shown = [line.split() for line in shop.output("offsets", "orders", "--time", time).splitlines()]
    assert shown == [["PARTITION", "OFFSET"], ["0", "-" if offset is None else str(offset)], ["1", "-"]]


def test_a_time_that_means_nothing_is_wrong_usage(shop: CommandLine) -> None:
    assert "--time" in shop.error("offsets", "orders", "--time", "noon", status=2)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("2013-01-01", 1_356_998_400_000),
        ("2013-01-01T10:00", 1_357_034_400_000),
        ("2013-01-01 10:00", 1_357_034_400_000),
        ("2013-01-01T10:00:30", 1_357_034_430_000),
        ("2013-01-01T10:00:30.5", 1_357_034_430_500),
        ("2013-01-01T10:00:30.123456", 1_357_034_430_123),
        ("2013-01-01T10:00Z", 1_357_034_400_000),
        ("2013-01-01T10:00+01:30", 1_357_029_000_000),
        ("2013-01-01T10:00-01:00", 1_357_038_000_000),
        ("1969-12-31", 0),
        ("0001-01-01T00:00+23:59", 0),
        ("9999-12-31T23:59:59.999-23:59", 253_402_387_139_999),
        ("1357034400000", 1_357_034_400_000),
    ],
)
def test_a_time_in_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_time(text) == milliseconds


NOON_MS = 1_357_038_000_000  # 2013-01-01, 11:00 UTC, when it is noon in Berlin
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("now", NOON_MS),
        ("7d", NOON_MS - 7 * DAY_MS),
        ("90s", NOON_MS - 90_000),
        ("5min", NOON_MS - 300_000),
        ("5 min ago", NOON_MS - 300_000),
        ("2 hours ago", NOON_MS - 7_200_000),
        ("1 week ago", NOON_MS - 7 * DAY_MS),
        ("999999999 weeks ago", 0),
        ("today", NOON_MS - DAY_MS // 2),
        ("yesterday", NOON_MS - DAY_MS - DAY_MS // 2),
        ("10:00", NOON_MS - 7_200_000),
        ("today 10:00", NOON_MS - 7_200_000),
        ("yesterday 10:00:30", NOON_MS - DAY_MS - 7_170_000),
        ("2013-01-01 10:00 local", NOON_MS - 7_200_000),
        ("2012-07-01T12:00:00.5 local", 1_341_136_800_500),
        ("2012-07-01 local", 1_341_093_600_000),
    ],
)
def test_a_time_by_the_clock_on_the_wall(text: str, milliseconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    monkeypatch.setattr("eventlog.cli.parsing.now_ms", lambda: NOON_MS)
    time.tzset()
    try:
        assert parse_time(text) == milliseconds
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "noon", "2013-1-1", "2013-02-30", "2013-01-01T25:00", "2013-01-01T", "2013-01-01T10", "25:00", ":30", "today:30", "7x",
     "7 days before", "2013-01-01Z local",
     "2013-01-01T10:00.5", "2013-01-01T10:00+1", "2013-01-01T10:00+99:00", " 2013-01-01", "2013-01-01\n", "-5",
     "2013-01-01T10:00 UTC", "٢٠١٣-٠١-٠١", "9" * 30],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time(text)
