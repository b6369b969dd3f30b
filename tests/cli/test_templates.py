"""Templates: `--format` of consume and grep."""

from __future__ import annotations

import pytest

import eventlog
from tests.cli.command_line import CommandLine

ORDER = (
    b'{"customer":{"name":"J\xc3\xb6rg"},"total":12.50,"items":[{"sku":"a"},2],'
    b'"paid":true,"note":null,"big":12345678901234567890}'
)


DEEP = f"{'[' * 900}1.0{']' * 900}"


@pytest.fixture
def order(cli: CommandLine) -> CommandLine:
    """One record, at 2026-11-01T10:00:30.250Z."""
    with eventlog.open(cli.store) as log:
        log.create_topic("orders")
        headers = [("trace", b"1"), ("trace", b"2"), ("x.y", None)]
        log.partition("orders", 0).append(ORDER, b'{"id":7}', headers, 1_793_527_230_250)
    return cli


def shown(cli: CommandLine, template: str, *options: str) -> bytes:
    done = cli.run("consume", "orders", "--format", template, *options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{topic}-{partition}@{offset}", "orders-0@0"),
        ("{timestamp}", "1793527230250"),
        ("{time}", "2026-11-01T10:00:30.250Z"),
        ("{time:%d.%m.%Y %H:%M}", "01.11.2026 10:00"),
        ("{key}", '{"id":7}'),
        ("{key.id}", "7"),
        ("{value}", ORDER.decode()),
        ("{value.customer.name}", "J\xf6rg"),
        ("{value.customer}", '{"name":"J\xf6rg"}'),
        ("{value.total} {value.big} {value.paid}", "12.50 12345678901234567890 true"),
        ("{value.items}", '[{"sku":"a"},2]'),
        ("{value.items.0.sku}{value.items.1}", "a2"),
        ("<{value.items.2}{value.items.-1}{value.items.x}{value.total.x}{value.absent}{value.note}>", "<>"),
        ("{headers}", "trace=1,trace=2,x.y="),
        ("{headers.trace}<{headers.x.y}{headers.absent}>", "2<>"),
        ("{key_bytes} {value_bytes}", f"8 {len(ORDER)}"),
        ("[{offset:4}][{offset:<4}][{topic:8}][{topic:>8}][{topic:^8}][{topic:.3}][{topic:>5.2}]", None),
        (r"a\tb\\\x41\0{{{key.id}}}", "a\tb\\A\x00{7}"),
        (r"{key.id}\n", "7\n"),
        ("\xe4\u20ac{key.id}", "\xe4\u20ac7"),
    ],
)
def test_fields(order: CommandLine, template: str, expected: str | None) -> None:
    if expected is None:
        expected = "[   0][0   ][orders  ][  orders][ orders ][ord][   or]"
    assert shown(order, template) == expected.encode() + b"\n"


def test_what_is_not_there_becomes_nothing(shop: CommandLine) -> None:
    template = "<{key}|{value}|{value.x}|{key_bytes}|{value_bytes}|{headers}>"
    assert shown(shop, template).splitlines() == [
        b"<k|first||1|5|trace=1,trace=>",
        b"<|\xff\x00|||2|>",
        b"<\xfe|||1||>",
    ]


def test_bytes_stay_what_they_are_through_a_layout(shop: CommandLine) -> None:
    assert shown(shop, "{value:4}|", "--partition", "0").splitlines()[1] == b"\xff\x00  |"


def test_json_that_is_nested_without_an_end_becomes_nothing(order: CommandLine) -> None:
    with eventlog.open(order.store) as log:
        log.partition("orders", 0).append(b"[" * 200_000)
    assert shown(order, "<{value.x}>", "--last", "1") == b"<>\n"


@pytest.mark.parametrize(
    "value",
    ["1.50", "-0", "1E400", "12345678901234567890.123456789", "9" * 5000, '{"a":[1.10,{}],"b":[]}', DEEP],
)
def test_numbers_stay_as_they_stand_in_the_record_however_deep(order: CommandLine, value: str) -> None:
    with eventlog.open(order.store) as log:
        log.partition("orders", 0).append(f'{{"x":{value},"y":[{value},"\\u00e9"]}}'.encode())
    assert shown(order, "{value.x} {value.y}", "--last", "1").decode() == f'{value} [{value},"é"]\n'


def test_a_time_that_no_calendar_has_is_a_number(order: CommandLine) -> None:
    with eventlog.open(order.store) as log:
        log.partition("orders", 0).append(b"", timestamp=2**62)
    assert shown(order, "{time} {time:%Y}", "--last", "1") == b"4611686018427387904 4611686018427387904\n"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{nothing}", "{value.FIELD}"),
        ("{}", "{value.FIELD}"),
        ("{value.}", "{value.FIELD}"),
        ("{headers.}", "{value.FIELD}"),
        ("{Topic}", "{topic}"),
        ("{topic.x}", "{topic}"),
        ("values", "{topic}"),
        ("", "{topic}"),
        ("{{key}}", "{topic}"),
        ("{key", "braces"),
        ("key}{key}", "braces"),
        ("{key}\\", "unpaired"),
        (r"{key}\q", "escape"),
        (r"{key}\x4", "escape"),
        ("{offset:d}", "layout"),
        ("{offset:99999}", "layout"),
    ],
)
def test_a_template_that_is_none_is_told_what_there_is_before_anything_is_read(
    cli: CommandLine, template: str, told: str
) -> None:
    text = cli.error("consume", "orders", "--format", template, status=2)
    assert "--format" in text and told in text


def test_grep_prints_by_a_template_too(order: CommandLine) -> None:
    assert order.output("grep", "total", "orders", "--format", "{value.total}") == "12.50\n"
