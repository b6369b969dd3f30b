"""`eventlog dump`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import eventlog
from tests.cli.command_line import CommandLine, assert_one_error, environment_without_store
from tests.support import programs


@pytest.fixture
def directory(cli: CommandLine) -> Path:
    """A partition's directory with several segments, whose files have index entries."""
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", config={"segment.bytes": 20_000, "index.interval.bytes": 1000})
        partition = log.partition("orders", 0)
        for number in range(60):
            partition.append_many([b"%03d" % number + b"x" * 500] * 2, timestamps=[1000 + number] * 2)
        return partition.directory


def dump_without_a_store(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return programs.run(["dump", *arguments], environment_without_store())


def test_a_partition_shows_all_batches_of_all_segments_in_order(cli: CommandLine, directory: Path) -> None:
    batches = cli.objects("dump", "orders/0", "--json")
    assert [batch["base_offset"] for batch in batches] == list(range(0, 120, 2))
    assert {(batch["type"], batch["records"], batch["crc_valid"]) for batch in batches} == {("batch", 2, True)}
    assert sorted({batch["path"] for batch in batches}) == sorted(map(str, directory.glob("*.log")))


def test_records_stand_behind_their_batch(cli: CommandLine, directory: Path) -> None:
    items = cli.objects("dump", "orders/0", "--records", "--json")
    assert [item["type"] for item in items] == ["batch", "record", "record"] * 60
    assert [item["offset"] for item in items if item["type"] == "record"] == list(range(120))


def test_files_of_every_kind_need_no_store(directory: Path) -> None:
    for kind in (".log", ".index", ".timeindex"):
        path = max(directory.glob(f"*{kind}"), key=lambda path: path.stat().st_size)
        done = dump_without_a_store(path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(done.stdout.splitlines()) > 2


def test_index_entries_point_at_batches(cli: CommandLine, directory: Path) -> None:
    for path in directory.glob("*.log"):
        batches = cli.objects("dump", path, "--json")
        entries = cli.objects("dump", path.with_suffix(".index"), "--json")
        assert {(item["offset"], item["position"]) for item in entries} <= {
            (batch["last_offset"], batch["position"]) for batch in batches
        }
        times = cli.objects("dump", path.with_suffix(".timeindex"), "--json")
        assert {(item["offset"], item["timestamp"]) for item in times} <= {
            (batch["last_offset"], batch["max_timestamp"]) for batch in batches
        }


def test_text_fits_80_columns_and_control_characters_are_escaped(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 1).append(b"\x1b[31mred\nline" + b"y" * 500, timestamp=1000)
    text = shop.output("dump", "orders/1", "--records")
    assert "value=\\x1b[31mred\\nline" in text and "(513 bytes)" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    batch_line = text.splitlines()[2]
    assert "0..0" in batch_line and "1970-01-01T00:00:01.000Z" in batch_line and len(batch_line) <= 80


def test_a_file_without_records_shows_none(cli: CommandLine, tmp_path: Path) -> None:
    for name in ("00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex"):
        (tmp_path / name).write_bytes(b"")
        assert cli.objects("dump", tmp_path / name, "--json") == []


def test_a_changed_byte_is_shown_at_its_batch_and_what_follows_is_shown_too(directory: Path) -> None:
    path = min(directory.glob("*.log"))
    path.write_bytes(path.read_bytes().replace(b"001x", b"001y", 1))
    done = dump_without_a_store(path)
    assert_one_error(done.returncode, done.stderr, 1)
    marked = [line for line in done.stdout.decode().splitlines()[1:] if "CRC MISMATCH" in line]
    assert ["2..3" in line for line in marked] == [True]
    assert b"4..5" in done.stdout


def test_with_records_a_changed_byte_ends_it_after_the_batch_before(directory: Path) -> None:
    path = min(directory.glob("*.log"))
    path.write_bytes(path.read_bytes().replace(b"001x", b"001y", 1))
    done = dump_without_a_store(path, "--records")
    assert_one_error(done.returncode, done.stderr, 1)
    assert b"value=000x" in done.stdout and b"value=001" not in done.stdout


@pytest.mark.parametrize("option", [(), ("--records",), ("--json",)])
@pytest.mark.parametrize("size", [1, 7, 60, 61, 5000])
def test_random_bytes_as_a_log_are_one_line_of_error(
    cli: CommandLine, tmp_path: Path, size: int, option: tuple[str, ...]
) -> None:
    path = tmp_path / "00000000000000000000.log"
    path.write_bytes(bytes((number * 167 + 13) % 256 for number in range(size)))
    assert str(path) in cli.error("dump", path, *option)


@pytest.mark.parametrize("kind", [".index", ".timeindex"])
@pytest.mark.parametrize("size", [1, 7, 13, 5000])
def test_random_bytes_as_an_index_are_shown_or_refused_in_one_line(
    cli: CommandLine, tmp_path: Path, kind: str, size: int
) -> None:
    path = tmp_path / f"00000000000000000000{kind}"
    path.write_bytes(bytes((number * 167 + 13) % 256 for number in range(size)))
    done = cli.run("dump", path)
    if done.returncode:
        assert_one_error(done.returncode, done.stderr, 1)


@pytest.mark.parametrize("target", ["nothing", "a/b/c", "orders/x", "orders/", "/0", "orders/99999999999", ""])
def test_what_is_neither_a_file_nor_a_partition_is_an_error(shop: CommandLine, target: str) -> None:
    assert "no such file" in shop.error("dump", target)


def test_a_partition_that_is_not_there_is_an_error(shop: CommandLine) -> None:
    assert "no partition 2" in shop.error("dump", "orders/2")


def test_a_directory_is_an_error(cli: CommandLine, tmp_path: Path) -> None:
    assert cli.error("dump", tmp_path) == f"{tmp_path}: Is a directory"


def test_a_file_of_another_kind_is_wrong_usage(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"")
    assert ".timeindex" in cli.error("dump", path, status=2)


def test_records_of_an_index_are_wrong_usage(directory: Path, cli: CommandLine) -> None:
    assert "--records" in cli.error("dump", min(directory.glob("*.index")), "--records", status=2)


def test_a_name_that_is_not_text_is_shown_escaped(cli: CommandLine, tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff\n"))
    assert "no such file" in cli.error("dump", path)


def test_the_entries_of_a_partition_are_those_of_its_files(cli: CommandLine, directory: Path) -> None:
    for option, kind in (("--index", ".index"), ("--time-index", ".timeindex")):
        paths = sorted(directory.glob(f"*{kind}"))
        entries = [entry for path in paths for entry in cli.objects("dump", path, "--json")]
        assert len(paths) > 2 and len(entries) > len(paths)
        assert cli.objects("dump", "orders/0", option, "--json") == entries
        assert all(str(path) in cli.output("dump", "orders/0", option) for path in paths)


@pytest.mark.parametrize("option", ["--index", "--time-index"])
def test_entries_that_are_right_pass_the_check(cli: CommandLine, directory: Path, option: str) -> None:
    entries = cli.objects("dump", "orders/0", option, "--check", "--json")
    assert {entry["valid"] for entry in entries} == {True}
    assert "NO BATCH" not in cli.output("dump", "orders/0", option, "--check")


@pytest.mark.parametrize("kind", [".index", ".timeindex"])
@pytest.mark.parametrize("at", range(12))
def test_a_changed_byte_in_an_entry_does_not_pass_the_check(
    cli: CommandLine, directory: Path, kind: str, at: int
) -> None:
    path = sorted(directory.glob(f"*{kind}"))[1]
    size = 8 if kind == ".index" else 12
    data = bytearray(path.read_bytes())
    data[size + at % size] ^= 1
    path.write_bytes(data)
    done = dump_without_a_store(path, "--check", "--json")
    assert_one_error(done.returncode, done.stderr, 1)
    marks = [json.loads(line)["valid"] for line in done.stdout.splitlines()]
    assert marks == [number != 1 for number in range(len(data) // size)]
    text = dump_without_a_store(path, "--check").stdout.decode().splitlines()
    assert [line.endswith("POINTS AT NO BATCH") for line in text[1:]] == [not mark for mark in marks]
    assert dump_without_a_store(path).returncode == 0


def test_without_its_log_an_index_cannot_be_checked(directory: Path) -> None:
    path = min(directory.glob("*.index"))
    path.with_suffix(".log").unlink()
    done = dump_without_a_store(path, "--check")
    assert_one_error(done.returncode, done.stderr, 1)
    assert b".log" in done.stderr


def test_leader_epochs(cli: CommandLine, directory: Path) -> None:
    path = directory / "leader-epoch-checkpoint"
    assert cli.objects("dump", "orders/0", "--epochs", "--json") == [
        {"type": "epoch", "path": str(path), "leader_epoch": 0, "start_offset": 0}
    ]
    path.write_text("0\n2\n0 0\n7 44\n")
    assert cli.output("dump", path).split() == ["EPOCH", "START", "0", "0", "7", "44"]
    assert [item["leader_epoch"] for item in cli.objects("dump", path, "--json", "--from", "1")] == [7]
    assert [item["leader_epoch"] for item in cli.objects("dump", path, "--json", "--max", "1")] == [0]


@pytest.mark.parametrize("text", ["", "0\n", "1\n0\n", "0\n2\n0 0\n", "0\n1\n0 -1\n", "0\n1\n0 0", "0\n1\n0\n", "x"])
def test_leader_epochs_that_are_none_are_an_error(cli: CommandLine, directory: Path, text: str) -> None:
    path = directory / "leader-epoch-checkpoint"
    path.write_text(text)
    assert str(path) in cli.error("dump", path)


@pytest.mark.parametrize("offset", [0, 1, 2, 35, 60, 118, 119, 120])
def test_from_an_offset(cli: CommandLine, directory: Path, offset: int) -> None:
    start = ("--from", str(offset), "--json")
    bases = [item["base_offset"] for item in cli.objects("dump", "orders/0", *start)]
    assert bases == list(range(offset - offset % 2, 120, 2))
    records = [item for item in cli.objects("dump", "orders/0", "--records", *start) if item["type"] == "record"]
    assert [item["offset"] for item in records] == list(range(offset - offset % 2, 120))
    for option in ("--index", "--time-index"):
        everything = cli.objects("dump", "orders/0", option, "--json")
        assert cli.objects("dump", "orders/0", option, *start) == [item for item in everything if item["offset"] >= offset]


def test_from_an_offset_of_a_file_also_where_its_index_is_wrong(cli: CommandLine, directory: Path) -> None:
    path = sorted(directory.glob("*.log"))[1]
    batches = cli.objects("dump", path, "--json")
    middle = batches[len(batches) // 2]
    for data in (None, b"", b"\0\0\0\1\x7f\xff\xff\xff" * 9, b"\0\0\0\3\0\0\0\7"):
        if data is not None:
            path.with_suffix(".index").write_bytes(data)
        shown = cli.objects("dump", path, "--json", "--from", str(middle["last_offset"]))
        assert shown == batches[len(batches) // 2 :]


def test_the_maximum_counts_over_all_files(cli: CommandLine, directory: Path) -> None:
    assert len(cli.objects("dump", "orders/0", "--json", "--max", "45")) == 45
    assert cli.objects("dump", "orders/0", "--json", "--max", "0") == []
    items = cli.objects("dump", "orders/0", "--records", "--json", "--from", "50", "--max", "2")
    assert [item["type"] for item in items] == ["batch", "record", "record"] * 2
    assert len(cli.objects("dump", "orders/0", "--index", "--json", "--max", "5")) == 5


def test_an_offset_that_a_partition_does_not_have_is_an_error(cli: CommandLine, directory: Path) -> None:
    assert "out of range" in cli.error("dump", "orders/0", "--from", "121")


@pytest.mark.parametrize("suffix", [".deleted", ".cleaned", ".swap"])
def test_a_file_that_kafka_has_put_aside_is_told_how_to_look_at(cli: CommandLine, directory: Path, suffix: str) -> None:
    path = min(directory.glob("*.log"))
    aside = path.with_name(path.name + suffix)
    path.rename(aside)
    assert f"copy it to {path.name}" in cli.error("dump", aside, status=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--check",), "--check"),
        (("--epochs", "--check"), "--check"),
        (("--index", "--records"), "--records"),
        (("--from", "-1"), "--from"),
        (("--from", "earliest"), "--from"),
        (("--max", "x"), "--max"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    cli: CommandLine, directory: Path, options: tuple[str, ...], told: str
) -> None:
    assert told in cli.error("dump", "orders/0", *options, status=2)


def test_a_file_says_itself_what_it_holds(cli: CommandLine, directory: Path) -> None:
    assert "name it" in cli.error("dump", min(directory.glob("*.log")), "--index", status=2)
