"""`eventlog consume --group`."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import eventlog
from eventlog import TopicPartition
from tests.cli.command_line import SECONDS_MAX, CommandLine, assert_one_error, closed_pipe
from tests.support.kafka_format import crc32c

# So many records of this size are printed after one poll, and do not fit into a pipe: the command waits for its reader.
MANY = 400
LARGE = b"x" * 1000

INTERRUPTED_TWICE = """
import signal
from eventlog.cli import member, output
try:
    with member.interrupt_put_off():
        signal.raise_signal(signal.SIGINT)
        output.write_line("printed after the first")
        output.flush()
        output.write_line("not printed any more")
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was put off, too")
except KeyboardInterrupt:
    output.flush()
"""


def append(cli: CommandLine, values: list[bytes], partition: int = 0) -> None:
    with eventlog.open(cli.store) as log:
        log.partition("orders", partition).append_many(values)


def committed(cli: CommandLine, group: str) -> dict[int, int]:
    with eventlog.open(cli.store) as log:
        if group not in log.groups():
            return {}
        return {partition.partition: offset for partition, offset in log.group(group).committed().items()}


def start_that_waits_for_its_reader(cli: CommandLine, *options: str) -> tuple[subprocess.Popen[bytes], bytes]:
    """A member of group `slow` that has read more than its pipe takes, and the first line of that."""
    append(cli, [LARGE] * MANY, partition=1)
    process = cli.start("consume", "orders", "--group", "slow", "--json", *options)
    assert process.stdout is not None
    return process, process.stdout.readline()


def places(printed: bytes) -> list[tuple[int, int]]:
    return [(item["partition"], item["offset"]) for item in map(json.loads, printed.splitlines())]


def put_compacted_topic(cli: CommandLine) -> None:
    """Topic `compacted` as Kafka leaves it: of three records in a batch only the first is there, the offsets stay."""
    with eventlog.open(cli.store) as log:
        log.create_topic("source")
        log.partition("source", 0).append(b"kept")
        log.create_topic("compacted", config={"cleanup.policy": "compact"})
        path = log.partition("source", 0).directory / "00000000000000000000.log"
        batch = bytearray(path.read_bytes()[: struct.unpack_from(">i", path.read_bytes(), 8)[0] + 12])
    struct.pack_into(">i", batch, 23, 2)  # last offset delta
    struct.pack_into(">I", batch, 17, crc32c(bytes(batch[21:])))
    directory = cli.store / "logs" / "compacted-0"
    directory.mkdir()
    (directory / path.name).write_bytes(batch)


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again: what other processes are in a group is nothing that can be waited for."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline


def has_two_owners(log: eventlog.EventLog) -> bool:
    members = log.group("shared").describe().members
    return sorted(member.partitions for member in members) == [
        (TopicPartition("orders", 0),), (TopicPartition("orders", 1),)
    ]  # fmt: skip


def test_a_group_goes_on_where_it_was(shop: CommandLine) -> None:
    assert shop.run("consume", "orders", "--group", "billing").stdout == b"\xff\x00\n\n"
    assert shop.run("consume", "orders", "--group", "billing").stdout == b""
    append(shop, [b"new"], partition=1)
    assert shop.run("consume", "orders", "--group", "billing").stdout == b"new\n"
    assert committed(shop, "billing") == {0: 3, 1: 1}


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("option", [(), ("--follow",)])
def test_max_commits_exactly_what_was_printed(shop: CommandLine, limit: int, option: tuple[str, ...]) -> None:
    append(shop, [b"x"] * 6, partition=1)
    printed = shop.objects("consume", "orders", "--group", "reports", "--max", str(limit), "--json", *option)
    assert len(printed) == limit
    counts = [sum(item["partition"] == number for item in printed) for number in (0, 1)]
    assert committed(shop, "reports") == {number: count for number, count in enumerate(counts) if count}
    assert len(shop.objects("consume", "orders", "--group", "reports", "--json")) == 9 - limit


def test_what_is_not_selected_is_acknowledged_unprinted(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 1).append_many([b"a", b"b", b"c", b"d"], keys=[b"x", b"y", b"x", None])
    assert shop.output("consume", "orders", "--group", "some", "--key", "x") == "a\nc\n"
    assert committed(shop, "some") == {0: 3, 1: 4}
    assert shop.output("consume", "orders", "--group", "one", "--key", "x", "--max", "1") == "a\n"
    assert committed(shop, "one")[1] == 1


def test_from_the_latest_begins_behind_what_is_there(shop: CommandLine) -> None:
    assert shop.output("consume", "orders", "--group", "late", "--from", "latest") == ""
    append(shop, [b"new"])
    assert shop.output("consume", "orders", "--group", "late", "--from", "latest") == "new\n"


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        (("--partition", "0"), "share the partitions"),
        (("--from", "1"), "only be earliest or latest"),
        (("--from", "2026-11-01"), "groups reset"),
    ],
)
def test_what_does_not_go_with_a_group_is_wrong_usage(shop: CommandLine, option: tuple[str, str], hint: str) -> None:
    text = shop.error("consume", "orders", "--group", "billing", *option, status=2)
    assert option[0] in text and hint in text


def test_a_topic_that_is_not_there_fails_and_makes_no_group(shop: CommandLine) -> None:
    assert "nothing" in shop.error("consume", "nothing", "--group", "new")
    assert "group name" in shop.error("consume", "orders", "--group", "no name")
    assert [group["group"] for group in shop.objects("groups", "list", "--json")] == ["billing"]


def test_what_came_after_it_began_is_left_to_the_next_one(shop: CommandLine) -> None:
    append(shop, [LARGE] * MANY)  # so that it has to poll again after the late ones were appended
    process, _ = start_that_waits_for_its_reader(shop)
    append(shop, [b"late"] * 5, partition=1)
    append(shop, [b"late"])
    rest, _ = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, len(rest.splitlines())) == (0, 3 + 2 * MANY - 1)
    assert committed(shop, "slow") == {0: 3 + MANY, 1: MANY}
    assert sorted(shop.output("consume", "orders", "--group", "slow").split()) == ["late"] * 6


def test_a_record_is_acknowledged_only_once_it_was_written_out(shop: CommandLine) -> None:
    process, first = start_that_waits_for_its_reader(shop)
    assert committed(shop, "slow") == {}
    rest, _ = process.communicate(timeout=SECONDS_MAX)
    assert committed(shop, "slow") == {0: 3, 1: MANY}
    assert sorted(places(first + rest)) == [(0, offset) for offset in range(3)] + [(1, offset) for offset in range(MANY)]


def test_a_reader_that_goes_away_in_the_middle_acknowledges_nothing_that_it_did_not_read(shop: CommandLine) -> None:
    process, _ = start_that_waits_for_its_reader(shop)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert process.stderr.read() == b""
    assert committed(shop, "slow") == {}
    assert len(shop.objects("consume", "orders", "--group", "slow", "--json")) == 3 + MANY


def test_a_pipe_that_is_closed_already_acknowledges_nothing(shop: CommandLine) -> None:
    with closed_pipe() as pipe:
        done = shop.run("consume", "orders", "--group", "billing", stdout=pipe)
    assert (done.returncode, done.stderr) == (0, b"")
    assert committed(shop, "billing") == {0: 1}


def test_a_full_device_acknowledges_nothing(shop: CommandLine) -> None:
    append(shop, [LARGE] * MANY)
    with open("/dev/full", "wb") as full:
        done = shop.run("consume", "orders", "--group", "billing", stdout=full.fileno())
    assert_one_error(done.returncode, done.stderr, 1)
    assert committed(shop, "billing") == {0: 1}


def test_a_reader_that_goes_away_while_nothing_comes_ends_it_and_it_leaves(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--group", "billing", "--follow", "--json")
    assert process.stdout is not None and process.stderr is not None
    for _ in range(2):
        process.stdout.readline()
    with eventlog.open(shop.store) as log:
        assert log.producer().send("orders", b"new", partition=0).wait_acked("billing", timeout=SECONDS_MAX)
    process.stdout.close()
    assert process.wait(timeout=SECONDS_MAX) == 0
    assert process.stderr.read() == b""
    assert committed(shop, "billing") == {0: 4}
    assert shop.objects("groups", "list", "--json")[0]["members"] == 0


def test_ctrl_c_commits_what_was_printed_and_leaves_the_group(shop: CommandLine) -> None:
    process = shop.start("consume", "orders", "--group", "billing", "--follow", "--json")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["offset"] for _ in range(2)] == [1, 2]
    append(shop, [b"new"])
    assert json.loads(process.stdout.readline())["offset"] == 3
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=SECONDS_MAX) == (b"", b"")
    assert process.returncode == 130
    assert committed(shop, "billing") == {0: 4}
    assert shop.objects("groups", "list", "--json")[0]["members"] == 0


def test_ctrl_c_while_it_prints_lets_it_finish_what_it_has_begun_and_commit_that(shop: CommandLine) -> None:
    append(shop, [LARGE] * MANY)
    process, first = start_that_waits_for_its_reader(shop, "--follow")
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, errors) == (130, b"")
    printed = places(first + rest)
    assert 0 < len(printed) < 3 + 2 * MANY
    counts = {number: sum(place[0] == number for place in printed) for number in (0, 1)}
    assert committed(shop, "slow") == counts


def test_a_second_ctrl_c_ends_it_though_nobody_reads_its_output() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_TWICE], capture_output=True, timeout=SECONDS_MAX)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"printed after the first\n")


def test_a_group_that_is_reset_while_it_prints_goes_on_from_there(shop: CommandLine) -> None:
    process, first = start_that_waits_for_its_reader(shop)
    with eventlog.open(shop.store) as log:
        log.group("slow").reset({TopicPartition("orders", 1): 10})
    rest, errors = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, errors) == (0, b"")
    offsets = [offset for partition, offset in places(first + rest) if partition == 1]
    assert offsets == [*range(MANY), *range(10, MANY)]
    assert committed(shop, "slow") == {0: 3, 1: MANY}


def test_a_member_for_which_there_is_no_partition_ends(shop: CommandLine) -> None:
    shop.output("topics", "create", "single")
    with eventlog.open(shop.store) as log, log.consumer("single", group="pair") as consumer:
        log.partition("single", 0).append(b"not taken away")
        assert consumer.poll(max_records=1)
        assert shop.output("consume", "single", "--group", "pair") == ""


def test_a_member_is_given_its_share_by_one_that_is_at_work_and_every_record_is_printed_once(shop: CommandLine) -> None:
    append(shop, [LARGE] * 2 * MANY)
    busy, line = start_that_waits_for_its_reader(shop)
    other = shop.start("consume", "orders", "--group", "slow", "--json")
    with eventlog.open(shop.store) as log:
        wait_until(lambda: len(log.group("slow").describe().members) == 2)
    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(lambda process: process.communicate(timeout=SECONDS_MAX), (busy, other)))
    assert [(process.returncode, errors) for process, (_, errors) in zip((busy, other), ends, strict=True)] == [(0, b"")] * 2
    first, second = places(line + ends[0][0]), places(ends[1][0])
    assert second and len({partition for partition, _ in second}) == 1
    assert sorted(first + second) == [(0, offset) for offset in range(3 + 2 * MANY)] + [(1, offset) for offset in range(MANY)]


def test_two_terminals_that_follow_print_every_record_once(shop: CommandLine) -> None:
    processes = [shop.start("consume", "orders", "--group", "shared", "--follow", "--json") for _ in range(2)]
    with eventlog.open(shop.store) as log:
        wait_until(lambda: "shared" in log.groups() and has_two_owners(log))
        producer = log.producer()
        receipts = [producer.send("orders", b"%d" % number, partition=number % 2) for number in range(100)]
        sent = 3 + len(receipts)
        assert all(receipt.wait_acked("shared", timeout=SECONDS_MAX) for receipt in receipts)
    printed = []
    for process in processes:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS_MAX)
        printed += places(output)
    assert len(printed) == len(set(printed)) == sent


def test_it_ends_where_compaction_has_left_nothing_before_the_end(shop: CommandLine) -> None:
    put_compacted_topic(shop)
    assert [row["end_offset"] for row in shop.objects("offsets", "compacted", "--json")] == [3]
    assert shop.output("consume", "compacted", "--group", "billing") == "kept\n"
