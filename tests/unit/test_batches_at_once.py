"""Batches that were made elsewhere, appended where nothing has to be waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.errors import InvalidBatchError, RecordTooLargeError
from tests.serve.batches import batch, with_wrong_checksum
from tests.support.stores import open_partition


def test_a_batch_is_appended_as_it_would_be_otherwise(partition: Partition) -> None:
    assert partition.log.append(batch([b"a"])).next_offset == 1  # the segment is open from then on
    assert partition.log.append_at_once(batch([b"b", b"c"])) == (1, 3, None, False)
    assert [record.value for record in partition.read(0)] == [b"a", b"b", b"c"]


def test_nothing_is_appended_where_the_disk_is_waited_for(store: Path) -> None:
    with eventlog.open(store, fsync="always") as log:
        partition = open_partition(log)
        partition.log.append(batch([b"a"]))
        assert partition.log.append_at_once(batch([b"b"])) is None
        assert partition.end_offset == 1


def test_nothing_is_appended_where_a_segment_has_to_be_opened_or_rolled(log: EventLog) -> None:
    log.create_topic("small", config={"segment.bytes": 1024})
    partition = log.partition("small", 0)
    assert partition.log.append_at_once(batch([b"a"])) is None
    partition.log.append(batch([b"a"]))
    appended = 1
    while partition.log.append_at_once(batch([b"b" * 100])) is not None:
        appended += 1
    assert partition.end_offset == appended > 1
    assert partition.log.append(batch([b"c"])).first_offset == appended


def test_nothing_is_appended_by_settings_that_hold_no_longer(log: EventLog, partition: Partition) -> None:
    partition.log.append(batch([b"a"]))
    log.alter_topic("events", config={"cleanup.policy": "compact"})
    assert partition.log.append_at_once(batch([b"no key"])) is None
    with pytest.raises(InvalidBatchError):
        partition.log.append(batch([b"no key"]))
    with pytest.raises(InvalidBatchError):
        partition.log.append_at_once(batch([b"no key"]))
    assert partition.end_offset == 1


def test_what_may_not_stand_in_a_log_is_refused(partition: Partition) -> None:
    partition.log.append(batch([b"a"]))
    with pytest.raises(InvalidBatchError):
        partition.log.append_at_once(with_wrong_checksum(batch([b"b"])))
    with pytest.raises(RecordTooLargeError):
        partition.log.append_at_once(batch([b"x" * 2**20]))
    assert partition.end_offset == 1
