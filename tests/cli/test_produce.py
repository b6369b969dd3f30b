"""`eventlog produce`."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

import eventlog
from eventlog.records.partitioning import partition_for_key
from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine


def records(cli: CommandLine, topic: str = "t") -> list[tuple[bytes | None, bytes | None]]:
    """Key and value of every record of a topic, partition by partition."""
    with eventlog.open(cli.store, create=False) as log:
        partitions = [log.partition(topic, number) for number in range(log.topic(topic).partitions)]
        return [(record.key, record.value) for partition in partitions for record in partition.records()]


def values(cli: CommandLine, topic: str = "t") -> list[bytes | None]:
    return [value for _, value in records(cli, topic)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"\n\na\n", [b"", b"", b"a"]),
        (b" a \r\n\xff\x00\n", [b" a \r", b"\xff\x00"]),
    ],
)
def test_lines_are_values_as_they_are_without_their_newline(cli: CommandLine, data: bytes, expected: list[bytes]) -> None:
    cli.output("produce", "t", "--create", stdin=data)
    assert values(cli) == expected


@pytest.mark.parametrize("lines", [999, 1000, 1001, 2500])
def test_batches_around_their_limit_lose_and_double_nothing(cli: CommandLine, lines: int) -> None:
    data = [b"%d" % number for number in range(lines)]
    [summary] = cli.objects("produce", "t", "--create", "--json", stdin=b"\n".join(data) + b"\n")
    assert values(cli) == data
    assert summary == {"topic": "t", "partition": 0, "records": lines, "first_offset": 0, "last_offset": lines - 1}


def test_a_line_longer_than_a_block_of_input_is_one_value(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    long = b"x" * 900_000
    path.write_bytes(b"a\n" + long + b"\nb\n" + long)
    cli.output("produce", "t", path, "--create")
    assert values(cli) == [b"a", long, b"b", long]


@pytest.mark.parametrize("name", ["-", None], ids=["dash", "nothing"])
def test_a_dash_or_no_file_is_standard_input(cli: CommandLine, name: str | None) -> None:
    cli.output("produce", "t", *([name] if name else []), "--create", stdin=b"a\n")
    assert values(cli) == [b"a"]


def test_everything_is_durable_when_it_is_done(cli: CommandLine) -> None:
    cli.output("produce", "t", "--create", stdin=b"a\nb\n")
    [row] = cli.objects("offsets", "t", "--json")
    assert row["durable_offset"] == row["end_offset"] == 2


def test_a_second_run_goes_on_at_the_next_offset(cli: CommandLine) -> None:
    cli.output("produce", "t", "--create", stdin=b"a\nb\n")
    [summary] = cli.objects("produce", "t", "--create", "--json", stdin=b"c\n")
    assert (summary["first_offset"], summary["last_offset"]) == (2, 2)


def test_the_text_summary_counts_records(cli: CommandLine) -> None:
    lines = cli.output("produce", "t", "--create", stdin=b"a\nb\n").splitlines()
    assert lines[0] == "2 records written to t"
    assert lines[2].split() == ["0", "2", "0", "1"]


def test_json_lines_are_stored_byte_by_byte_with_a_key(cli: CommandLine) -> None:
    rows = [
        ('{"k": "text", "n" : 1.50}', b"text"),
        ('{"k": "ü"}', "ü".encode()),
        ('{"k": 1.50}', b"1.50"),
        ('{"k": 123456789012345678901234567890}', b"123456789012345678901234567890"),
        ('{"k": true}', b"true"),
        ('{"k": null}', None),
        ('{"k": ""}', b""),
    ]
    data = "\n".join(row for row, _ in rows).encode()
    cli.output("produce", "t", "--create", "--format", "jsonl", "--key", "k", stdin=data)
    assert records(cli) == [(key, row.encode()) for row, key in rows]


def test_any_json_value_will_do_without_a_key_and_blank_lines_are_skipped(cli: CommandLine) -> None:
    cli.output("produce", "t", "--create", "--format", "jsonl", stdin=b'1\n\n"a"\n \r\n[2]\n')
    assert values(cli) == [b"1", b'"a"', b"[2]"]


BAD_JSON = {
    "not_json": b"{",
    "not_a_json_constant": b"NaN",
    "not_utf8": b'"\xff"',
    "two_values": b"1 2",
    "nested_too_deeply": b"[" * 200_000,
    "byte_order_mark": b"\xef\xbb\xbf1",
}


@pytest.mark.parametrize("bad", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_a_bad_json_line_is_named_and_what_stands_before_it_is_written(cli: CommandLine, bad: bytes) -> None:
    error = cli.error("produce", "t", "--create", "--format", "jsonl", stdin=b"1\n2\n" + bad + b"\n4\n")
    assert "standard input: line 3: " in error and error.endswith("(2 records written)")
    assert values(cli) == [b"1", b"2"]


@pytest.mark.parametrize("bad", [b"{}", b"[]", b'"k"', b'{"k": []}', b'{"k": {}}', b'{"k": "\\ud800"}'])
def test_a_json_line_without_a_usable_key_is_named(cli: CommandLine, bad: bytes) -> None:
    arguments = ("produce", "t", "--create", "--format", "jsonl", "--key", "k")
    assert "line 2: " in cli.error(*arguments, stdin=b'{"k": 1}\n' + bad)


def test_csv_rows_become_objects_of_texts(cli: CommandLine) -> None:
    data = '\ufeffid,name\r\n1,"Doe, ""J"""\r\n\r\n02,"two\nlines"\r\n,ü\r\n'.encode()
    cli.output("produce", "t", "--create", "--format", "csv", "--key", "id", stdin=data)
    assert [(key, json.loads(value or b"")) for key, value in records(cli)] == [
        (b"1", {"id": "1", "name": 'Doe, "J"'}),
        (b"02", {"id": "02", "name": "two\nlines"}),
        (b"", {"id": "", "name": "ü"}),
    ]


BAD_CSV = {
    "too_few_fields": (b"a,b\n1,2\n1\n", 3),
    "too_many_fields": (b"a,b\n1,2\n1,2,3\n", 3),
    "unfinished_quote": (b'a,b\n1,2\n1,"2\n', 3),
    "text_after_a_quote": (b'a,b\n1,2\n1,"2"3\n', 3),
    "not_utf8": (b"a,b\n1,2\n1,\xff\n", 3),
    "row_after_one_of_two_lines": (b'a,b\n"1\n",2\n1\n', 4),
    "column_twice": (b"a,a\n1,2\n", 1),
    "nothing_at_all": (b"", 1),
}


@pytest.mark.parametrize(("data", "line"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_bad_csv_names_its_line(cli: CommandLine, data: bytes, line: int) -> None:
    written = 0 if line == 1 else 1
    error = cli.error("produce", "t", "--create", "--format", "csv", stdin=data)
    assert f"line {line}: " in error and f"({written} record" in error
    if written:
        assert len(values(cli)) == written
    else:
        assert not cli.store.exists()


def test_a_key_that_is_no_column_is_an_error(cli: CommandLine) -> None:
    arguments = ("produce", "t", "--create", "--format", "csv", "--key", "c")
    assert "'c'" in cli.error(*arguments, stdin=b"a,b\n1,2\n")


def test_a_key_of_bare_lines_is_wrong_usage(cli: CommandLine) -> None:
    assert "--format" in cli.error("produce", "t", "--create", "--key", "k", status=2)


def test_records_with_keys_go_where_kafka_puts_them(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--partitions", "3")
    keys = [b"%d" % number for number in range(60)]
    data = b"".join(b'{"k": "%s"}\n' % key for key in keys)
    cli.output("produce", "t", "--format", "jsonl", "--key", "k", stdin=data)
    with eventlog.open(cli.store) as log:
        for number in range(3):
            found = [record.key for record in log.partition("t", number).records()]
            assert found == [key for key in keys if partition_for_key(key, 3) == number] != []


def test_batches_without_keys_take_the_partitions_in_turn(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--partitions", "3")
    cli.output("produce", "t", stdin=b"x\n" * 6000)
    assert [row["records"] for row in cli.objects("offsets", "t", "--json")] == [2000, 2000, 2000]


def test_a_partition_that_is_asked_for_gets_everything_keys_or_not(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--partitions", "3")
    arguments = ("--format", "jsonl", "--key", "k", "--partition", "1")
    cli.output("produce", "t", *arguments, stdin=b'{"k": 1}\n{"k": 2}\n{"k": 3}\n{"k": null}\n')
    assert [row["records"] for row in cli.objects("offsets", "t", "--json")] == [0, 4, 0]


def test_a_record_too_large_for_the_topic_names_its_line_after_those_before_it(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--config", "max.message.bytes=1000")
    small = b"x" * 200
    lines = [*[small] * 20, b"y" * 1000, small]
    error = cli.error("produce", "t", stdin=b"\n".join(lines))
    assert "line 21: " in error and error.endswith("(20 records written)")
    assert values(cli) == [small] * 20


def test_records_that_are_only_together_too_large_are_all_written(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--config", "max.message.bytes=1000")
    cli.output("produce", "t", stdin=(b"x" * 200 + b"\n") * 20)
    assert values(cli) == [b"x" * 200] * 20


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "directory"])
def test_a_file_that_cannot_be_read_is_told_before_anything_is_made(cli: CommandLine, tmp_path: Path, missing: bool) -> None:
    path = tmp_path / "none" if missing else tmp_path
    assert cli.error("produce", "t", path, "--create").startswith(f"{path}: ")
    assert not cli.store.exists()


def test_a_partition_that_is_not_there_is_told_before_anything_is_read(shop: CommandLine) -> None:
    assert "no partition 2" in shop.error("produce", "orders", "--partition", "2", stdin=b"a\n")


def test_what_came_through_a_pipe_that_pauses_is_seen_at_once(cli: CommandLine) -> None:
    cli.output("topics", "create", "t")
    process = cli.start("produce", "t")
    assert process.stdin is not None
    with eventlog.open(cli.store) as log:
        partition = log.partition("t", 0)
        for number in range(3):
            process.stdin.write(b" line\nhalf a")
            assert partition.wait(number, timeout=SECONDS_MAX)
        process.stdin.close()
        assert process.wait(timeout=SECONDS_MAX) == 0
        assert list(partition.values()) == [b" line", b"half a line", b"half a line", b"half a"]


def test_an_interrupt_says_how_much_was_written(cli: CommandLine) -> None:
    cli.output("topics", "create", "t")
    process = cli.start("produce", "t")
    assert process.stdin is not None
    with eventlog.open(cli.store) as log:
        process.stdin.write(b"a\nb\n")
        assert log.partition("t", 0).wait(1, timeout=SECONDS_MAX)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, stdout, stderr) == (130, b"", b"eventlog: interrupted, 2 records written\n")


def read_terminal(descriptor: int) -> bytes:
    """Everything shown on a terminal until its last user has closed it."""
    shown = b""
    while True:
        try:
            shown += os.read(descriptor, 4096)
        except OSError:  # Linux's way to say that a terminal has ended.
            return shown


@pytest.mark.parametrize(("name", "shows"), [("file", True), ("-", False)])
def test_a_progress_bar_is_shown_for_a_file_when_standard_error_is_a_terminal(
    cli: CommandLine, tmp_path: Path, name: str, shows: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a line\n" * 1000)
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "produce", "t", "--create", path if shows else name],
        env={**cli.environment(), "TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    process.communicate(b"a line\n", timeout=SECONDS_MAX)
    shown = read_terminal(mine)
    os.close(mine)
    assert process.returncode == 0
    assert (b"7.0/7.0 kB" in shown) is shows
