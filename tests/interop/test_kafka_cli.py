"""`eventlog --store kafka://…`: the commands that need no more than the contract, and what the others say."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from eventlog import EventLog
from tests.cli.command_line import PROGRAM

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.clients

SECONDS_MAX = 120


@pytest.fixture
def url(bootstrap: str) -> str:
    return f"kafka://{bootstrap}"


def run(url: str, *arguments: str, stdin: bytes = b"", status: int = 0) -> str:
    """What a command prints; of one that fails, its last line on standard error."""
    command = [PROGRAM, *arguments]
    environment = {**os.environ, "EVENTLOG_STORE": url}
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=SECONDS_MAX, env=environment)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode() if status == 0 else done.stderr.decode().splitlines()[-1]


def objects(url: str, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(url, *arguments, "--json").splitlines()]


def test_topics_are_made_filled_and_read(url: str, log: EventLog) -> None:
    run(url, "topics", "create", "orders", "--partitions", "2", "--config", "retention.ms=60000")
    assert (log.topic("orders").partitions, log.topic("orders").config) == (2, {"retention.ms": 60_000})
    run(url, "topics", "alter", "orders", "--partitions", "3")
    lines = b"".join(b'{"customer": "c-%d", "number": %d}\n' % (number % 5, number) for number in range(30))
    run(url, "produce", "orders", "--format", "jsonl", "--key", "customer", stdin=lines)
    assert sum(log.partition("orders", number).end_offset for number in range(3)) == 30
    (topic,) = objects(url, "topics", "list")
    assert (topic["topic"], topic["partitions"], topic["records"], topic["size_bytes"]) == ("orders", 3, 30, None)
    assert "orders" in run(url, "topics", "list")
    ends = [row["end_offset"] for row in objects(url, "offsets", "orders")]
    assert ends == [log.partition("orders", number).end_offset for number in range(3)]
    assert len(run(url, "consume", "orders").splitlines()) == 30
    assert len(run(url, "consume", "orders", "--key", "c-3").splitlines()) == 6
    assert len(run(url, "consume", "orders", "--last", "1").splitlines()) == sum(1 for end in ends if end)
    assert "30 records" in run(url, "topics", "delete", "orders", "--execute")
    assert log.topics() == []


def test_groups_consume_and_are_shown_moved_and_deleted(url: str, log: EventLog) -> None:
    log.create_topic("orders", 2)
    for number in range(2):
        log.partition("orders", number).append_many([b"%d" % offset for offset in range(10)])
    assert len(run(url, "consume", "orders", "--group", "billing").splitlines()) == 20
    assert run(url, "consume", "orders", "--group", "billing") == ""
    assert [(row["group"], row["lag"], row["generation"]) for row in objects(url, "groups", "list")] == [("billing", 0, None)]
    run(url, "groups", "reset", "billing", "--topic", "orders:1", "--to", "4", "--execute")
    rows = objects(url, "groups", "describe", "billing")
    assert [(row["partition"], row["committed"], row["lag"]) for row in rows] == [(0, 10, 0), (1, 4, 6)]
    assert "billing" in run(url, "groups", "describe", "billing")
    assert len(run(url, "groups", "export", "billing").splitlines()) == 2
    (activity,) = objects(url, "top", "--once", "--interval", "0.1")
    assert [(topic["topic"], topic["records"]) for topic in activity["topics"]] == [("orders", 20)]
    assert [(group["group"], group["lag"]) for group in activity["groups"]] == [("billing", 6)]
    run(url, "groups", "delete", "billing", "--execute")
    assert log.groups() == []


@pytest.mark.parametrize("command", [["verify"], ["doctor"], ["topics", "describe", "orders"], ["backup", "/tmp/unused"]])
def test_other_commands_say_that_they_need_a_directory(url: str, command: list[str]) -> None:
    assert f"'{' '.join(command[:2] if command[0] == 'topics' else command[:1])}' needs a store in a directory" in run(
        url, *command, status=2
    )


def test_a_cluster_that_is_away_is_one_line() -> None:
    assert "no answer within 0.2 s" in run("kafka://user:geheim@127.0.0.1:1?socket.timeout.ms=200", "topics", "list", status=1)
