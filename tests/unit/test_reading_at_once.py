"""Batches at the end of a log, read where nothing has to be waited for."""

from __future__ import annotations

import os

import pytest

from eventlog import EventLog, Partition
from tests.serve.batches import batch

ENOUGH = 2**16


@pytest.fixture
def followed(partition: Partition) -> Partition:
    """A partition of one batch, which a reader has read to its end."""
    partition.log.append(batch([b"a", b"b"]))
    found = partition.log.slice(0, ENOUGH)
    try:
        os.preadv(found.descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError as error:
        pytest.skip(f"the file system cannot say what is in memory: {error}")
    return partition


def test_what_follows_what_was_read_is_read(followed: Partition) -> None:
    log = followed.log
    for start in (2, 5):
        log.append(batch([b"c"]))
        log.append(batch([b"d", b"e"]))
        assert log.read_at_once(start, start + 3, ENOUGH) == log.slice(start, ENOUGH).read()


def test_not_more_than_was_asked_for_is_read(followed: Partition) -> None:
    log = followed.log
    for value in (b"c", b"d"):
        log.append(batch([value]))
    both = log.slice(2, ENOUGH).read()
    assert log.read_at_once(2, 4, len(both) - 1) is None
    assert log.read_at_once(2, 3, ENOUGH) == both[: len(both) // 2]
    assert log.read_at_once(2, 4, len(both)) == both


def test_nothing_is_read_where_no_reader_has_been(followed: Partition) -> None:
    followed.log.append(batch([b"c", b"d"]))
    assert followed.log.read_at_once(0, 4, ENOUGH) is None
    assert followed.log.read_at_once(3, 4, ENOUGH) is None
    assert followed.log.read_at_once(2, 3, ENOUGH) is None  # in the middle of a batch


def test_nothing_is_read_behind_the_end_of_a_segment(followed: Partition) -> None:
    followed.log.roll()
    followed.log.append(batch([b"c"]))
    assert followed.log.read_at_once(2, 3, ENOUGH) is None
    assert followed.log.slice(2, ENOUGH).next_offset == 3
    followed.log.append(batch([b"d"]))
    assert followed.log.read_at_once(3, 4, ENOUGH) is not None


def test_what_is_damaged_is_not_read(followed: Partition) -> None:
    followed.log.append(batch([b"c"]))
    path = followed.log.segments.path_of(0)
    position = followed.log.slice(2, ENOUGH).position
    with open(path, "r+b") as file:
        file.seek(position + 65)
        changed = bytes([file.read(1)[0] ^ 1])
        file.seek(position + 65)
        file.write(changed)
    assert followed.log.read_at_once(2, 3, ENOUGH) is None


def test_many_readers_of_many_positions_are_followed_by_a_search(log: EventLog, followed: Partition) -> None:
    for _ in range(20):
        followed.log.append(batch([b"c"]))
    for offset in range(2, 22):
        assert followed.log.slice(offset, 1).next_offset == offset + 1
    assert followed.log.read_at_once(2, 22, ENOUGH) is None  # it was forgotten: others have read since
    assert followed.log.slice(2, ENOUGH).next_offset == 22
