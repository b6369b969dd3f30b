"""Stores for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition
from eventlog.catalog.users import User
from tests.cli.command_line import CommandLine


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where the test's store is, so that arguments can name paths without their directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with a store that is not there yet."""
    command_line = CommandLine(tmp_path / "store")
    yield command_line
    command_line.kill_all()


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    """The command line with topic `orders`: two partitions, three records in partition 0 at times 1000, 2000, 3000 ms, of
    which the group `billing` has committed one, and was reset to it; the user `alice`; a backup of it in `backup`, and the
    group's offsets in `offsets.jsonl`; and a producer with the transactional id `idle`."""
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", partitions=2)
        log.partition("orders", 0).append_many(
            [b"first", b"\xff\x00", None],
            keys=[b"k", None, b"\xfe"],
            headers=[[("trace", b"1"), ("trace", None)], None, None],
            timestamps=[1000, 2000, 3000],
        )
        with log.consumer(group="billing") as consumer:
            consumer.assign([TopicPartition("orders", 0)])
            consumer.poll(max_records=1)
            consumer.commit()
        log.group("billing").reset({TopicPartition("orders", 0): 1})
        log.open_transactions.coordinator.init("idle", 60_000)
        offsets = '{"group": "billing", "topic": "orders", "partition": 0, "offset": 1}\n'
        cli.store.with_name("offsets.jsonl").write_text(offsets)
        log.store.catalog.users.add(User("alice", "reader"))  # without a password, which would take time
        log.backup(cli.store.with_name("backup"))
    return cli
