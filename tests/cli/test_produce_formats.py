"""`eventlog produce`: keys, times, headers and tombstones from each format, and formats that were guessed wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import eventlog
from eventlog import Record
from tests.cli.command_line import CommandLine

NOON = 1_793_534_400_000
NOON_TEXT = "2026-11-01T12:00"


def produced(cli: CommandLine, *arguments: str | Path, stdin: bytes = b"") -> list[Record]:
    """The records that `produce` appends to a new topic."""
    cli.output("produce", "t", "--create", *arguments, stdin=stdin)
    with eventlog.open(cli.store, create=False) as log:
        return list(log.partition("t", 0).records())


def objects(found: list[Record]) -> list[object]:
    return [json.loads(record.value or b"") for record in found]


def refused(cli: CommandLine, *arguments: str | Path, stdin: bytes = b"", status: int = 1) -> str:
    """The error of a `produce --create` that has to leave nothing behind."""
    error = cli.error("produce", "t", "--create", *arguments, stdin=stdin, status=status)
    assert not cli.store.exists()
    return error


# --- lines -----------------------------------------------------------------------------------------------


def test_lines_have_keys_before_a_separator(cli: CommandLine) -> None:
    found = produced(cli, "--key-separator", "::", stdin=b"a::1\n::2\nb::\nc::x::y\n")
    assert [(record.key, record.value) for record in found] == [(b"a", b"1"), (b"", b"2"), (b"b", b""), (b"c", b"x::y")]


def test_a_line_without_the_separator_is_named(cli: CommandLine) -> None:
    assert "line 1: no key separator ':'" in refused(cli, "--key-separator", ":", stdin=b"one\n")


def test_a_line_with_a_key_alone_is_a_tombstone_if_that_is_wanted(cli: CommandLine) -> None:
    found = produced(cli, "--key-separator", ":", "--tombstones", stdin=b"a:1\na:\n")
    assert [(record.key, record.value) for record in found] == [(b"a", b"1"), (b"a", None)]


def test_every_record_gets_the_headers_that_are_given(cli: CommandLine) -> None:
    found = produced(cli, "--header", "from=import", "--header", "from=a=b", "--header", "empty=", stdin=b"1\n2\n")
    assert {record.headers for record in found} == {(("from", b"import"), ("from", b"a=b"), ("empty", b""))}


# --- JSON ------------------------------------------------------------------------------------------------


def test_fields_become_key_time_and_headers_and_stay_in_the_value(cli: CommandLine) -> None:
    line = b'{"id": 7, "at": "2026-11-01T12:00", "trace": "x", "retries": 2, "none": null}'
    options = ("--key", "id", "--timestamp", "at", "--header-field", "trace", "--header-field", "retries")
    [record] = produced(cli, "--format", "jsonl", *options, "--header-field", "none", "--header-field", "absent", stdin=line)
    assert (record.key, record.timestamp, record.value) == (b"7", NOON, line)
    assert record.headers == (("trace", b"x"), ("retries", b"2"), ("none", None))


def test_an_object_with_a_key_alone_is_a_tombstone_if_that_is_wanted(cli: CommandLine) -> None:
    data = b'{"at":null,"id":1,"n":"a"}\n{"at":null,"id":1}\n{"at":"2026-11-01","id":2,"n":null}\n{"at":"","id":3,"n":0}\n'
    found = produced(cli, "--format", "jsonl", "--key", "id", "--timestamp", "at", "--tombstones", stdin=data)
    assert [(record.key, record.value is None) for record in found] == [
        (b"1", False), (b"1", True), (b"2", True), (b"3", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("ms", "1793534400000"),
        ("s", "1793534400"),
        ("s", "1793534400.0004"),
        ("s", "1.7935344e9"),
        ("us", "1793534400000999"),
        ("ns", "1793534400000000123"),
    ],
)
def test_times_that_are_numbers_have_a_unit(cli: CommandLine, unit: str, number: str) -> None:
    options = ("--format", "jsonl", "--timestamp", "at", "--timestamp-unit", unit)
    found = produced(cli, *options, stdin=f'{{"at":{number}}}\n{{"at":"{number}"}}\n'.encode())
    assert [record.timestamp for record in found] == [NOON, NOON]


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        ("1793534400", "if it is in seconds, use --timestamp-unit s"),
        ("0", "before 1980"),
        ('"1979-12-31T23:59:59"', "--any-time"),
        ("-1793534400000", "before 1970"),
        ("1793534400000000", "--timestamp-unit"),
        ('"soon"', "is not a time"),
        ("[]", "neither text nor a number"),
        ("true", "neither text nor a number"),
    ],
)
def test_a_time_in_another_unit_is_refused(cli: CommandLine, time: str, hint: str) -> None:
    error = refused(cli, "--format", "jsonl", "--timestamp", "at", stdin=f'{{"at":{time}}}'.encode())
    assert "line 1: timestamp field 'at'" in error and hint in error


def test_any_time_is_taken_if_that_is_wanted(cli: CommandLine) -> None:
    data = b'{"at":1793534400}\n{"at":"1970-01-01"}\n'
    found = produced(cli, "--format", "jsonl", "--timestamp", "at", "--any-time", stdin=data)
    assert [record.timestamp for record in found] == [1793534400, 0]


def test_a_record_without_its_time_field_is_an_error(cli: CommandLine) -> None:
    assert "no timestamp field 'at'" in refused(cli, "--format", "jsonl", "--timestamp", "at", stdin=b"{}")
    assert "not a JSON object" in refused(cli, "--format", "jsonl", "--timestamp", "at", stdin=b"1")


@pytest.mark.parametrize("space", [b"", b"\n  "], ids=["dense", "indented"])
def test_the_elements_of_an_array_are_values_as_they_are_written(cli: CommandLine, space: bytes) -> None:
    elements = [b'{"k": 1.50, "t": [1, {"a": "]"}]}', b'{"k":"\xc3\xbc"}', b'{"k": null}']
    data = b"\xef\xbb\xbf [" + space + (space + b"," + space).join(elements) + space + b"] \n"
    found = produced(cli, "--format", "array", "--key", "k", stdin=data)
    assert [(record.key, record.value) for record in found] == list(zip([b"1.50", b"\xc3\xbc", None], elements, strict=True))


def test_an_array_may_hold_anything_and_be_larger_than_a_block(cli: CommandLine) -> None:
    elements = [b'"' + b"x" * 300_000 + b'"', *(b"%d" % number for number in range(100_000)), b"[]", b"null"]
    found = produced(cli, "--format", "array", stdin=b"[" + b",".join(elements) + b"]")
    assert [record.value for record in found] == elements


def test_an_empty_array_has_no_records(cli: CommandLine) -> None:
    assert produced(cli, "--format", "array", stdin=b" [ ] ") == []


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1), (b"{}", 1), (b"[", 1), (b"[1 2]", 1), (b"[\n{},\n}]", 3), (b"[1]\n2", 2), (b"[1,\n", 2), (b"[NaN]", 1),
        (b"[\xff]", 1),
    ],
)
def test_what_is_no_array_is_named(cli: CommandLine, data: bytes, line: int) -> None:
    assert f"line {line}: " in cli.error("produce", "t", "--create", "--format", "array", stdin=data)


# --- CSV -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (("--format", "csv", "--delimiter", ";"), b'a;b\n1;"x;y"\n'),
        (("--format", "csv", "--delimiter", "tab"), b"a\tb\n1\tx;y\n"),
        (("--format", "tsv"), b"a\tb\n1\tx;y\n"),
    ],
)
def test_fields_of_csv_are_separated_by_what_is_given(cli: CommandLine, arguments: tuple[str, ...], data: bytes) -> None:
    assert objects(produced(cli, *arguments, stdin=data)) == [{"a": "1", "b": "x;y"}]


def test_fields_of_csv_have_the_types_that_are_given(cli: CommandLine) -> None:
    types = ["--type", "n=number", "--type", "b=bool", "--type", "j=json"]
    data = b'n,b,j,t\n1.50,yes,"[1,{}]",007\n,F,"""x""",\n'
    found = produced(cli, "--format", "csv", *types, stdin=data)
    assert [record.value for record in found] == [
        b'{"n":1.50,"b":true,"j":[1,{}],"t":"007"}',
        b'{"n":null,"b":false,"j":"x","t":""}',
    ]


def test_types_are_detected_field_by_field_and_no_digit_is_lost(cli: CommandLine) -> None:
    data = b"a,b,c,d,e,f\n1,007,1.10,true,,12345678901234567890\nx,-1e5,+1,null,NaN,0\n"
    found = produced(cli, "--format", "csv", "--detect-types", "--type", "f=text", stdin=data)
    assert [record.value for record in found] == [
        b'{"a":1,"b":"007","c":1.10,"d":true,"e":null,"f":"12345678901234567890"}',
        b'{"a":"x","b":-1e5,"c":"+1","d":null,"e":"NaN","f":"0"}',
    ]


@pytest.mark.parametrize("cell", ["n=number:007", "n=number:x", "n=bool:maybe", "n=json:{"])
def test_a_field_of_another_type_is_named(cli: CommandLine, cell: str) -> None:
    kind, _, text = cell.partition(":")
    error = refused(cli, "--format", "csv", "--type", kind, stdin=f"n\n{text}\n".encode())
    assert "line 2: field 'n' is" in error


def test_a_row_of_csv_may_be_a_tombstone(cli: CommandLine) -> None:
    data = b"id,at,name\n1,2026-11-01T12:00,x\n1,2026-11-01T12:00,\n"
    found = produced(cli, "--format", "csv", "--key", "id", "--timestamp", "at", "--tombstones", stdin=data)
    assert [(record.key, record.timestamp) for record in found] == [(b"1", NOON)] * 2
    assert [record.value is None for record in found] == [False, True]


@pytest.mark.parametrize("option", [("--key", "c"), ("--timestamp", "c"), ("--header-field", "c"), ("--type", "c=number")])
def test_a_column_that_is_not_there_is_named_with_those_that_are(cli: CommandLine, option: tuple[str, str]) -> None:
    error = refused(cli, "--format", "csv", *option, stdin=b"a,b\n1,2\n")
    assert "'c', but 'a', 'b'" in error


def test_a_wrong_delimiter_is_suggested(cli: CommandLine) -> None:
    assert "--delimiter ';'" in refused(cli, "--format", "csv", "--key", "a", stdin=b"a;b\n1;2\n")


# --- whole records ---------------------------------------------------------------------------------------


def test_what_consume_prints_comes_back_as_it_was(cli: CommandLine) -> None:
    with eventlog.open(cli.store) as log:
        log.create_topic("a", partitions=2)
        for number in range(2):
            log.partition("a", number).append_many(
                [b"text", b"\xff\x00", None, "ü\n\x1b\u2028".encode(), b""],
                keys=[None, b"", b"\xfe", b"k", b"k"],
                headers=[None, [("h", b"1"), ("h", None)], [("", b"\xff")], None, [("ü", b"")]],
                timestamps=[NOON + number, NOON, NOON + 1, NOON + 2, NOON - 1],
            )
        log.create_topic("b", partitions=2)
    printed = cli.run("consume", "a", "--json").stdout
    cli.output("produce", "b", "--format", "json", "--keep-partitions", stdin=printed)
    with eventlog.open(cli.store) as log:
        for number in range(2):
            copied = [record[2:] for record in log.partition("b", number).records()]
            assert copied == [record[2:] for record in log.partition("a", number).records()]


def test_a_record_needs_only_its_value(cli: CommandLine) -> None:
    [record] = produced(cli, "--format", "json", "--header", "h=1", stdin=b'\n{"value": {"base64": "/w=="}, "more": 1}\n')
    assert (record.key, record.value, record.headers) == (None, b"\xff", (("h", b"1"),)) and record.timestamp > NOON - 10**11


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b'{"id": 1}', "--format jsonl"),
        (b"1", "--format jsonl"),
        (b'{"value": {"total": 1}}', "--format jsonl"),
        (b'{"value": {"base64": "?"}}', "base64"),
        (b'{"value": {"base64": 1}}', "base64"),
        (b'{"value": "\\ud800"}', "surrogate"),
        (b'{"value": null, "key": 1}', "'key'"),
        (b'{"value": null, "headers": {"a": "b"}}', "'headers'"),
        (b'{"value": null, "headers": [["a"]]}', "'headers'"),
        (b'{"value": null, "timestamp": 1793534400}', "before 1980"),
        (b'{"value": null, "timestamp": "2026-11-01"}', "'timestamp'"),
    ],
)
def test_what_is_no_record_is_named(cli: CommandLine, line: bytes, hint: str) -> None:
    error = refused(cli, "--format", "json", stdin=line)
    assert "line 1: " in error and hint in error


def test_a_partition_that_is_not_there_is_named(cli: CommandLine) -> None:
    cli.output("topics", "create", "t")
    arguments = ("produce", "t", "--format", "json", "--keep-partitions")
    assert "line 1: no partition 1: t has 1" in cli.error(*arguments, stdin=b'{"value": "x", "partition": 1}')
    assert "no 'partition'" in cli.error(*arguments, stdin=b'{"value": "x"}')


# --- wrong guesses ---------------------------------------------------------------------------------------

ENVELOPE = b'{"topic": "t", "partition": 0, "offset": 0, "timestamp": 1, "key": null, "value": "x", "headers": []}\n'
WRONG_GUESSES = {
    "array": (b'[\n  {"a": 1}\n]\n', "--format array"),
    "array_on_a_line": (b'[{"a": 1}, {"a": 2}]\n', "--format array"),
    "records": (ENVELOPE, "--format json"),
    "zip": (b"PK\x03\x04...", "unzip -p"),
    "bzip2": (b"BZh91AY&SY...", "bzip2 -dc"),
    "xz": (b"\xfd7zXZ\x00...", "xz -dc"),
    "parquet": (b"PAR1...", "Parquet"),
    "sqlite": (b"SQLite format 3\x00...", "SQLite"),
}


@pytest.mark.parametrize(("data", "hint"), WRONG_GUESSES.values(), ids=WRONG_GUESSES.keys())
def test_what_is_no_lines_of_text_is_refused_unless_that_is_wanted(cli: CommandLine, data: bytes, hint: str) -> None:
    error = refused(cli, stdin=data)
    assert hint in error and "--format lines" in error
    found = produced(cli, "--format", "lines", stdin=data)
    assert [record.value for record in found] == data.removesuffix(b"\n").split(b"\n")


@pytest.mark.parametrize("line", [b"[2026-11-01 10:00] started", b"[1, 2]", b'{"topic": "news"}', b"[", b"BZh", b"P", b"\x1f"])
def test_lines_that_only_begin_like_something_else_are_lines(cli: CommandLine, line: bytes) -> None:
    arguments = ("--format", "lines") if line == b"[" else ()
    assert [record.value for record in produced(cli, *arguments, stdin=line + b"\nmore\n")] == [line, b"more"]


@pytest.mark.parametrize("name", ["orders.csv", "ORDERS.TSV", "orders.csv.gz"])
def test_a_file_whose_name_says_what_it_is_is_not_taken_for_lines(cli: CommandLine, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    assert f"--format {name[7:10].lower()}" in refused(cli, name, status=2)


def test_an_array_that_is_taken_for_json_lines_is_refused(cli: CommandLine) -> None:
    assert "--format array" in refused(cli, "--format", "jsonl", stdin=b"[\n{}\n]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--key", "k"),
        ("--timestamp", "t"),
        ("--format", "json", "--key", "k"),
        ("--format", "jsonl", "--delimiter", ";"),
        ("--format", "csv", "--delimiter", "::"),
        ("--format", "csv", "--type", "a=date"),
        ("--format", "csv", "--key-separator", ":"),
        ("--key-separator", ""),
        ("--tombstones",),
        ("--keep-partitions",),
        ("--format", "json", "--keep-partitions", "--partition", "0"),
        ("--header", "name"),
        ("--partition", "1"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    refused(cli, *arguments, stdin=b"a\n", status=2)
