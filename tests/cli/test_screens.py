"""What `top`, `ui` and `web` show, without any screen: the recent past, text that is harmless, and pages of records."""

from __future__ import annotations

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from eventlog.cli.screens.content import detail, preview
from eventlog.cli.screens.history import History, sparkline
from eventlog.cli.screens.model import read_group, read_page, read_page_before, read_record, read_topic, search_page
from tests.cli.command_line import CommandLine

# --- the past -----------------------------------------------------------------------------------------------------------


def test_history_has_rates_and_lag_and_forgets_what_is_deleted(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        history = History(log, points=3)
        first = history.sample()
        assert (first.topic_rates, first.group_lags) == ({"orders": (None,)}, {"billing": (2,)})
        log.partition("orders", 0).append(b"x")
        second = history.sample()
        assert second.topic_rates["orders"][0] is None and (second.topic_rates["orders"][1] or 0) > 0
        assert second.group_lags["billing"] == (2, 3)
        log.create_topic("more")
        history.sample()
        log.delete_topic("more")
        last = history.sample()
        assert list(last.topic_rates) == ["orders"]
        assert last.group_lags["billing"] == (3, 3, 3)  # three points, and no more


@pytest.mark.parametrize(
    ("series", "width", "shown"),
    [
        ((0, 1, 2, None, 4), 5, "▁▃▅ █"),
        ((0, 0), 4, "  ▁▁"),
        ((5, 1, 1), 2, "██"),
        ((), 3, "   "),
        ((1, 2), 0, ""),
        ((None,), 1, " "),
    ],
)
def test_a_sparkline_is_as_wide_as_wanted(series: tuple[float | None, ...], width: int, shown: str) -> None:
    assert sparkline(series, width) == shown


# --- text ---------------------------------------------------------------------------------------------------------------


def test_a_preview_is_one_line_that_steers_nothing() -> None:
    hostile = "a\n\t\x1b[31m\x07\u202eb".encode() + b"\xff"
    shown = preview(hostile)
    assert shown is not None
    assert shown.text == "a\\n\\t\\x1b[31m\\x07\\u202eb\\xff"
    assert (shown.size_bytes, shown.is_cut) == (len(hostile), False)
    assert preview(None) is None


def test_a_preview_is_cut_between_two_characters() -> None:
    assert preview("aé".encode(), 2) == ("a", 3, True, False)
    assert preview(b"a\xc3", 2) == ("a\\xc3", 2, False, False)


def test_json_is_indented_and_stays_harmless() -> None:
    shown = detail(b'{"b":[1,2.5],"a":"\\u001b[2J"}')
    assert shown is not None and shown.is_json
    assert shown.text == '{\n  "b": [\n    1,\n    2.5\n  ],\n  "a": "\\u001b[2J"\n}'


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,"a":2}', b"[NaN]", b"[1e999]", b"{nothing", b"[" * 100_000, b"12", b"\xff{}"],
    ids=lambda data: repr(data[:10]),
)
def test_what_json_cannot_say_is_shown_as_it_is(data: bytes) -> None:
    shown = detail(data)
    assert shown is not None and not shown.is_json
    assert shown.text == data.decode("utf-8", "backslashreplace")[: len(shown.text)]


def test_indenting_makes_no_text_much_longer() -> None:
    deep = b"[" * 500 + b"1," * 50_000 + b"1" + b"]" * 500
    shown = detail(deep, 10_000)
    assert shown is not None and shown.is_cut and len(shown.text) <= 10_000


def test_a_giant_value_is_cut() -> None:
    shown = detail(b"x" * 10_000_000)
    assert shown is not None
    assert (len(shown.text), shown.size_bytes, shown.is_cut) == (65_536, 10_000_000, True)


# --- what is in the store -----------------------------------------------------------------------------------------------


@pytest.fixture
def numbered(log: EventLog) -> EventLog:
    """A hundred records from offset 10 on, whose values are their offsets."""
    partition = log.partition("events", 0)
    partition.append_many([b"%d" % number for number in range(110)])
    partition.delete_records(10)
    return log


def test_pages_follow_each_other(numbered: EventLog) -> None:
    page = read_page(numbered, "events", 0, 0, 40)
    assert (page.start_offset, page.end_offset, page.next_offset) == (10, 110, 50)
    assert [record.offset for record in page.records] == list(range(10, 50))
    page = read_page(numbered, "events", 0, 80, 40)
    assert [record.offset for record in page.records] == list(range(80, 110))
    assert page.next_offset == 110
    assert read_page(numbered, "events", 0, 10**18, 40).records == ()


def test_pages_go_back(numbered: EventLog) -> None:
    page = read_page_before(numbered, "events", 0, 10**18, 40)
    assert [record.offset for record in page.records] == list(range(70, 110))
    page = read_page_before(numbered, "events", 0, 20, 40)
    assert [record.offset for record in page.records] == list(range(10, 20))
    assert read_page_before(numbered, "events", 0, 0, 40).records == ()


def test_going_back_reaches_across_gaps(log: EventLog) -> None:
    log.create_topic("marked")
    with log.producer(transactional_id="gaps") as producer:
        for number in range(20):
            producer.begin()
            producer.send("marked", b"%d" % number)
            producer.commit()
    page = read_page_before(log, "marked", 0, 10**18, 10)
    assert [record.value.text for record in page.records if record.value] == [str(number) for number in range(10, 20)]


def test_a_search_goes_on_where_it_ended(numbered: EventLog) -> None:
    found = search_page(numbered, "events", 0, "9", 0, 5, seconds_max=60)
    assert [record.offset for record in found.records] == [19, 29, 39, 49, 59]
    found = search_page(numbered, "events", 0, "9", found.next_offset, 50, seconds_max=60)
    assert [record.offset for record in found.records] == [69, 79, 89, *range(90, 100), 109]
    assert found.next_offset == found.end_offset


def test_a_search_that_takes_long_is_continued(log: EventLog) -> None:
    partition = log.partition("events", 0)
    for _ in range(5):
        partition.append_many([b""] * 10_000)
    partition.append(b"needle")
    steps, first = 0, 0
    while True:
        found = search_page(log, "events", 0, "NEEDLE", first, 1, seconds_max=0)
        steps, first = steps + 1, found.next_offset
        if found.records:
            break
    assert (steps, found.records[0].offset) == (3, 50_000)


def test_a_record_has_all_that_is_worth_showing(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        record = read_record(log, "orders", 0, 0)
        assert record is not None and record.value is not None and record.key is not None
        assert (record.timestamp, record.key.text, record.value.text) == (1000, "k", "first")
        assert [(name, value.text if value else None) for name, value in record.headers] == [("trace", "1"), ("trace", None)]
        assert read_record(log, "orders", 0, 3) is None
        log.partition("orders", 1).append(b"", headers=[(f"h{number}", b"") for number in range(60)])
        record = read_record(log, "orders", 1, 0)
        assert record is not None and (len(record.headers), record.headers_left_out) == (50, 10)


def test_a_topic_and_a_group(shop: CommandLine) -> None:
    with eventlog.open(shop.store, mode="r") as log:
        topic = read_topic(log, "orders")
        assert [(each.start_offset, each.end_offset) for each in topic.partitions] == [(0, 3), (0, 0)]
        assert topic.groups == (("billing", 2),)
        group = read_group(log, "billing")
        [(partition, progress)] = group.partitions
        assert (partition, progress.committed, progress.lag) == (TopicPartition("orders", 0), 1, 2)
