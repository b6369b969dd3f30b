"""`eventlog produce`: several files, compressed files, and what is left behind when one of them is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import cramjam
import pytest

import eventlog
from tests.cli.command_line import CommandLine
from tests.cli.test_produce import values


def packed(kind: str, data: bytes) -> bytes:
    return gzip.compress(data) if kind == "gzip" else bytes(cramjam.zstd.compress(data))


LINES = [b"line %d" % number for number in range(50_000)]
TEXT = b"\n".join(LINES) + b"\n"
both = pytest.mark.parametrize("kind", ["gzip", "zstd"])


@both
@pytest.mark.parametrize("is_file", [True, False], ids=["file", "pipe"])
def test_compressed_input_is_unpacked_whatever_its_name(cli: CommandLine, tmp_path: Path, kind: str, is_file: bool) -> None:
    (tmp_path / "data").write_bytes(packed(kind, TEXT))
    if is_file:
        cli.output("produce", "t", "data", "--create")
    else:
        cli.output("produce", "t", "--create", stdin=packed(kind, TEXT))
    assert values(cli) == LINES


@both
def test_compressed_files_may_be_joined(cli: CommandLine, kind: str) -> None:
    cli.output("produce", "t", "--create", stdin=packed(kind, b"a\nb") + packed(kind, b"c\n"))
    assert values(cli) == [b"a", b"bc"]


@both
def test_a_compressed_file_may_be_csv(cli: CommandLine, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.csv.packed").write_bytes(packed(kind, b"a,b\n1,2\n"))
    cli.output("produce", "t", "a.csv.packed", "--create", "--format", "csv", "--detect-types")
    assert values(cli) == [b'{"a":1,"b":2}']


@both
def test_a_compressed_file_that_is_cut_off_is_an_error(cli: CommandLine, kind: str) -> None:
    error = cli.error("produce", "t", "--create", stdin=packed(kind, b"x")[:-3])
    assert kind in error
    assert not cli.store.exists()


@both
def test_a_damaged_compressed_file_is_an_error(cli: CommandLine, kind: str) -> None:
    data = packed(kind, TEXT)
    assert kind in cli.error("produce", "t", "--create", stdin=data[:10] + b"\xff" * 40 + data[50:])


def test_an_array_in_a_gzip_file_is_recognised(cli: CommandLine) -> None:
    assert "--format array" in cli.error("produce", "t", "--create", stdin=gzip.compress(b"[\n1\n]"))
    assert not cli.store.exists()


def test_several_files_are_written_in_their_order(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2")
    (tmp_path / "b").write_bytes(packed("gzip", b"3\n"))
    cli.output("produce", "t", "a", "-", "b", "--create", stdin=b"stdin\n")
    assert values(cli) == [b"1", b"2", b"stdin", b"3"]


def test_each_file_of_csv_has_its_header(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"k,v\n1,2\n")
    (tmp_path / "b").write_bytes(b"v,k\n3,4\n")
    cli.output("produce", "t", "a", "b", "--create", "--format", "csv", "--key", "k")
    assert values(cli) == [b'{"k":"1","v":"2"}', b'{"v":"3","k":"4"}']


@pytest.mark.parametrize("wrong", [b"x,v\n3,4\n", b""], ids=["another_header", "nothing"])
def test_nothing_is_written_if_a_later_file_begins_wrongly(cli: CommandLine, tmp_path: Path, wrong: bytes) -> None:
    (tmp_path / "a").write_bytes(b"k,v\n1,2\n")
    (tmp_path / "b").write_bytes(wrong)
    error = cli.error("produce", "t", "a", "b", "--create", "--format", "csv", "--key", "k")
    assert error.startswith("b: line 1: ") and error.endswith("(0 records written)")
    assert not cli.store.exists()


def test_a_bad_line_of_a_later_file_is_named_with_its_file(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n2\n")
    (tmp_path / "b").write_bytes(b"3\n{\n")
    error = cli.error("produce", "t", "a", "b", "--create", "--format", "jsonl")
    assert error.startswith("b: line 2: ") and error.endswith("(3 records written)")
    assert values(cli) == [b"1", b"2", b"3"]


def test_a_record_too_large_for_a_new_topic_leaves_nothing_behind(cli: CommandLine) -> None:
    error = cli.error("produce", "t", "--create", stdin=b"x" * 1_048_600 + b"\nsmall\n")
    assert "line 1: " in error and "max.message.bytes" in error
    assert not cli.store.exists()


def test_a_topic_is_not_created_in_a_store_that_is_there_if_its_first_line_is_wrong(cli: CommandLine) -> None:
    cli.output("topics", "create", "other")
    cli.error("produce", "t", "--create", "--format", "jsonl", stdin=b"{")
    with eventlog.open(cli.store, create=False) as log:
        assert log.topics() == ["other"]


def test_create_appends_to_a_topic_that_is_there_as_it_is(cli: CommandLine) -> None:
    cli.output("topics", "create", "t", "--partitions", "3")
    cli.output("produce", "t", "--create", "--partition", "2", stdin=b"a\n")
    with eventlog.open(cli.store, create=False) as log:
        assert list(log.partition("t", 2).values()) == [b"a"]


def test_an_impossible_name_is_refused_before_anything_is_made(cli: CommandLine) -> None:
    assert "topic name" in cli.error("produce", "no name", "--create", stdin=b"a\n")
    assert not cli.store.exists()
