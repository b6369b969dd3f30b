"""A partition as bytes: batches that were made elsewhere are appended as they are, or refused; slices of batches come out."""

from __future__ import annotations

import os
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import (
    CorruptLogError,
    EventLog,
    InvalidArgumentError,
    InvalidBatchError,
    InvalidTypeError,
    OffsetOutOfRangeError,
    Partition,
    RecordTooLargeError,
    StoreClosedError,
    UnsupportedCodecError,
)
from eventlog.records import compression
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.partition.slices import Slice
from tests.support import descriptors, made_batches, stores
from tests.support.kafka_format import HEADER_BYTES, parse_batches
from tests.support.made_batches import TIME_MS, Made, values
from tests.support.processes import Worker

LARGE = 2**30


def placed(batch: bytes, base_offset: int, leader_epoch: int = 0) -> bytes:
    """The batch as it stands in a log."""
    return base_offset.to_bytes(8, "big") + batch[8:12] + leader_epoch.to_bytes(4, "big") + batch[16:]


def everything(log: PartitionLog, bytes_max: int = LARGE, **options: Any) -> list[Slice]:
    """All slices, one behind the other."""
    slices, offset = [], log.start_offset
    while (found := log.slice(offset, bytes_max, **options)).length:
        slices.append(found)
        offset = found.next_offset
    return slices


# --- in ----------------------------------------------------------------------------------------------------


def test_a_batch_comes_back_byte_for_byte_with_its_offset_and_as_records(partition: Partition) -> None:
    records = [
        Made(b"value", b"key", [(b"name", b"x"), (b"name", None), ("größe".encode(), b"")]),
        Made(None, None, timestamp=TIME_MS + 5),
        Made(b"", b"", timestamp=TIME_MS - 7),
        Made(bytes(70_000), b"k" * 300),
    ]
    batch = made_batches.batch(records, producer_id=7, producer_epoch=3, base_sequence=12)
    partition.append(b"before")
    assert partition.log.append(batch) == (1, 5, None, False)
    found = partition.log.slice(1, LARGE)
    assert found.read() == placed(batch, 1) and (found.first_offset, found.next_offset) == (1, 5)
    read = partition.read(1)
    assert [(record.offset, record.value, record.key, record.timestamp) for record in read] == [
        (number + 1, made.value, made.key, made.timestamp) for number, made in enumerate(records)
    ]
    assert read[0].headers == (("name", b"x"), ("name", None), ("größe", b""))
    assert partition.append(b"behind") == 5


def test_several_batches_are_appended_together_from_any_buffer(partition: Partition) -> None:
    batches = [made_batches.batch(values(*(b"%d" % number for number in range(size)))) for size in (3, 1, 200)]
    for number, given in enumerate((b"".join(batches), bytearray(b"".join(batches)), memoryview(b"".join(batches)))):
        assert partition.log.append(given)[:2] == (204 * number, 204 * (number + 1))
    bases = [0, 3, 4, 204, 207, 208, 408, 411, 412]
    expected = b"".join(placed(batch, base) for batch, base in zip(batches * 3, bases, strict=True))
    assert partition.log.slice(0, LARGE).read() == expected
    assert [record.value for record in partition.read(4, 5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_whatever_base_offset_a_batch_says_it_gets_the_next_one(partition: Partition) -> None:
    for base_offset in (77, -1, -(2**63)):
        partition.log.append(made_batches.batch(values(b"x"), base_offset=base_offset))
    assert [record.offset for record in partition.read(0)] == [0, 1, 2]


def test_the_largest_timestamp_is_put_right_as_a_broker_does(partition: Partition) -> None:
    records = [Made(b"x"), Made(b"y", timestamp=TIME_MS + 1000), Made(b"z")]
    partition.log.append(made_batches.batch(records, max_timestamp=TIME_MS))
    assert partition.log.slice(0, LARGE).read() == placed(made_batches.batch(records), 0)
    assert partition.offset_for_time(TIME_MS + 1) == 1


def test_records_without_a_timestamp_are_taken(partition: Partition) -> None:
    partition.log.append(made_batches.batch([Made(b"x", timestamp=-1)]))
    assert partition.read(0)[0].timestamp == -1


def test_a_topic_with_append_time_gives_all_records_the_time_of_the_append(log: EventLog, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"message.timestamp.type": "LogAppendTime"})
    appended = partition.log.append(made_batches.batch(values(b"x", b"y")) + made_batches.batch(values(b"z"), attributes=0x08))
    assert appended.append_time_ms is not None and appended.append_time_ms > TIME_MS
    assert {record.timestamp for record in partition.read(0)} == {appended.append_time_ms}
    parsed = parse_batches(partition.log.slice(0, LARGE).read())
    assert [(batch.attributes, batch.max_timestamp) for batch in parsed] == [(0x08, appended.append_time_ms)] * 2


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_producer_chooses_the_codec_where_the_topic_lets_it(partition: Partition, codec: str) -> None:
    number = compression.codec_number(codec)
    batch = made_batches.batch(
        values(*[b"much of the same"] * 100), compress=lambda section: compression.compress(number, section), attributes=number
    )
    partition.log.append(batch)
    assert partition.log.slice(0, LARGE).read() == placed(batch, 0)
    assert [record.value for record in partition.read(0)] == [b"much of the same"] * 100


def gzipped(section: bytes) -> bytes:
    return compression.compress(1, section)


def test_a_topic_with_a_codec_of_its_own_compresses_batches_anew(log: EventLog, partition: Partition) -> None:
    records = values(*[b"much of the same"] * 100)
    given = made_batches.batch(records) + made_batches.batch(records, compress=gzipped, attributes=1)
    for kind, codecs in (("gzip", [1, 1]), ("zstd", [4, 4]), ("uncompressed", [0, 0])):
        log.alter_topic(stores.TOPIC, config={"compression.type": kind})
        start = partition.log.append(given).first_offset
        data = partition.log.slice(start, LARGE).read()
        first = int.from_bytes(data[8:12], "big") + 12
        assert [data[22] & 7, data[first + 22] & 7] == codecs
        assert [record.value for record in partition.read(start)] == [b"much of the same"] * 200
    assert data == placed(made_batches.batch(records), 400) + placed(made_batches.batch(records), 500)


def test_a_batch_that_would_not_shrink_stays_uncompressed(log: EventLog, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"compression.type": "gzip"})
    batch = made_batches.batch(values(b"x"))
    partition.log.append(batch)
    assert partition.log.slice(0, LARGE).read() == placed(batch, 0)


RIGHT = made_batches.batch(values(b"x", b"y"))
TWO = values(b"x", b"y")


def with_delta_1(section: bytes) -> bytes:
    """The same records, the first of them a millisecond behind the base timestamp."""
    return section[:2] + b"\x02" + section[3:]


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (b"", "the bytes end inside it"),
        (RIGHT[:60], "the bytes end inside it"),
        (RIGHT[:-1], "the bytes end inside it"),
        (bytes(100), "zeros"),
        (made_batches.batch(TWO, magic=1), "magic is not 2"),
        (made_batches.batch(TWO, magic=3), "magic is not 2"),
        (RIGHT[:8] + (30).to_bytes(4, "big") + RIGHT[12:], "length too small"),
        (RIGHT[:8] + (2**31 - 1).to_bytes(4, "big") + RIGHT[12:], "the bytes end inside it"),
        (RIGHT[:8] + b"\xff\xff\xff\xff" + RIGHT[12:], "length too small"),
        (RIGHT[:-1] + b"\x7f", "CRC32C does not match"),
        (made_batches.batch([]), "offset that is negative"),
        (made_batches.batch([], last_offset_delta=0), "it has no records"),
        (made_batches.batch(TWO, record_count=1), "it has 1 records for 2 offsets"),
        (made_batches.batch(TWO, last_offset_delta=2), "it has 2 records for 3 offsets"),
        (made_batches.batch(TWO, record_count=3), "count that does not fit"),
        (made_batches.batch(TWO, record_count=-1), "count that does not fit"),
        (made_batches.batch(TWO, record_count=2**31 - 1, last_offset_delta=2**31 - 2), "count that does not fit"),
        (made_batches.batch(TWO, attributes=0x80), "0x80 is not known"),
        (made_batches.batch(TWO, attributes=0x40), "0x40 is not known"),
        (made_batches.batch(TWO, attributes=-0x8000), "0x8000 is not known"),
        (made_batches.batch(TWO, attributes=0x20), "control batch"),
        (made_batches.batch(TWO, attributes=0x10), "transaction"),
        (made_batches.batch(TWO, attributes=0x08), "LogAppendTime"),
        (made_batches.batch(TWO, producer_id=5, producer_epoch=0), "producer is 5, epoch 0, sequence -1"),
        (made_batches.batch(TWO, producer_id=5, base_sequence=0), "producer is 5, epoch -1, sequence 0"),
        (made_batches.batch(TWO, producer_id=-2), "producer is -2"),
        (made_batches.batch(TWO, extra=b"z"), "there are more bytes in it than its 2 records take"),
        (made_batches.batch(TWO, compress=lambda section: section[:-1] + b"\x02"), "record 1 .*lengths contradict"),
        (made_batches.batch([Made(b"x"), Made(b"y", offset_delta=0)]), "record 1 .*does not come after"),
        (made_batches.batch([Made(b"x", offset_delta=1), Made(b"y", offset_delta=0)]), "record 1 .*does not come after"),
        (made_batches.batch([Made(b"x"), Made(b"y", offset_delta=2)]), "record 1 .*outside the batch"),
        (made_batches.batch([Made(b"x"), Made(b"y", timestamp=-2)]), "record 1 .*timestamp"),
        (made_batches.batch([Made(b"x", timestamp=-(2**63)), Made(b"y", timestamp=-2)]), "record 0 .*timestamp"),
        (made_batches.batch([Made(b"x")], base_timestamp=2**63 - 1, compress=with_delta_1), "record 0 .*timestamp"),
        (made_batches.batch(TWO, attributes=1), "cannot be decompressed: gzip"),
        (made_batches.batch(TWO, attributes=1, compress=lambda section: gzipped(section[:-1])), "record 1"),
        (made_batches.batch(TWO, attributes=1, compress=lambda section: gzipped(section) + b"z"), "cannot be decompressed"),
    ],
)  # fmt: skip
def test_a_batch_that_is_not_right_is_refused_and_nothing_is_appended(partition: Partition, batch: bytes, reason: str) -> None:
    partition.append(b"before")
    for given, position in ((batch, 0), (RIGHT + batch, len(RIGHT)) if batch else (batch, 0)):
        with pytest.raises(InvalidBatchError, match=reason) as raised:
            partition.log.append(given)
        assert raised.value.position == position and raised.value.is_altered == ("CRC32C" in reason)
        assert (raised.value.record is not None) == reason.startswith("record ")
    assert partition.end_offset == 1 and partition.append(b"behind") == 1


def test_other_refusals_are_of_their_own_kinds(log: EventLog, partition: Partition) -> None:
    assert issubclass(InvalidBatchError, InvalidArgumentError)
    for wrong in (None, "text", 7, [RIGHT]):
        with pytest.raises(InvalidTypeError, match="batches are bytes"):
            partition.log.append(wrong)
    with pytest.raises(UnsupportedCodecError, match="codec 5"):
        partition.log.append(made_batches.batch(TWO, attributes=5))
    log.alter_topic(stores.TOPIC, config={"max.message.bytes": 150, "segment.bytes": 1024})
    with pytest.raises(RecordTooLargeError, match=r"takes 1\d\d bytes, more than max.message.bytes \(150\)"):
        partition.log.append(RIGHT + made_batches.batch(values(bytes(99))))
    with pytest.raises(RecordTooLargeError, match="one segment"):
        partition.log.append(RIGHT * 20)
    assert partition.end_offset == 0


def test_a_batch_that_is_too_large_once_it_is_decompressed_is_refused(log: EventLog, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"max.message.bytes": 1500, "compression.type": "uncompressed"})
    with pytest.raises(RecordTooLargeError):
        partition.log.append(made_batches.batch(values(bytes(2000)), compress=gzipped, attributes=1))
    assert partition.end_offset == 0


def test_a_topic_that_is_compacted_refuses_records_without_a_key(log: EventLog, partition: Partition) -> None:
    records = [Made(b"x"), Made(b"y", None), Made(b"z", b"key"), Made(b"z", None)]
    keyless = [made_batches.batch(records), made_batches.batch(records, compress=gzipped, attributes=1)]
    assert partition.log.append(keyless[0]).first_offset == 0
    log.alter_topic(stores.TOPIC, config={"cleanup.policy": "compact"})
    for batch in keyless:
        with pytest.raises(InvalidBatchError, match=r"record 1 .*needs a key") as raised:
            partition.log.append(batch)
        assert (raised.value.record, raised.value.records) == (1, (1, 3))
    assert partition.log.append(RIGHT).first_offset == 4


def test_settings_that_hold_no_longer_refuse_nothing(store: Path, partition: Partition) -> None:
    with eventlog.open(store) as other:
        other.alter_topic(stores.TOPIC, config={"max.message.bytes": 150})
        with pytest.raises(RecordTooLargeError):
            partition.log.append(made_batches.batch(values(bytes(99))))
        other.alter_topic(stores.TOPIC, config={"max.message.bytes": 1500})
    assert partition.log.append(made_batches.batch(values(bytes(99)))).first_offset == 0


def test_what_is_changed_in_the_buffer_while_it_is_appended_is_not_appended_unchecked(partition: Partition) -> None:
    batch = made_batches.batch(values(*[b"0123456789"] * 1000))
    buffer, stop = bytearray(batch), threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            buffer[HEADER_BYTES + 500] ^= 0xFF

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(200):
            try:
                partition.log.append(buffer)
            except InvalidBatchError as error:
                assert error.is_altered
    finally:
        stop.set()
        thread.join()
    assert len(stores.everything(partition)) == partition.end_offset


def test_with_fsync_always_batches_are_on_disk_on_return(store: Path) -> None:
    with eventlog.open(store, fsync="always") as log:
        partition = stores.open_partition(log)
        appended = partition.log.append(RIGHT)
        assert partition.durable_offset == appended.next_offset == 2


def test_a_closed_log_says_so(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"x")
    for call in (lambda: partition.log.append(RIGHT), lambda: partition.log.slice(0, 10), lambda: partition.log.wait(0)):
        with pytest.raises(StoreClosedError):
            call()
    assert not partition.log.is_open


# --- out ---------------------------------------------------------------------------------------------------


def test_slices_are_bounded_by_bytes_and_hold_whole_batches(partition: Partition) -> None:
    sizes = [len(made_batches.batch(values(bytes(number * 10)))) for number in range(20)]
    for number in range(20):
        partition.log.append(made_batches.batch(values(bytes(number * 10))))
    for bytes_max in range(0, sum(sizes) + 100, 37):
        expected, offset, position = [], 0, 0
        while offset < 20:
            count = 1
            while offset + count < 20 and sum(sizes[offset : offset + count + 1]) <= bytes_max:
                count += 1
            length = sum(sizes[offset : offset + count])
            expected.append((position, length, offset, offset + count))
            offset, position = offset + count, position + length
        assert [found[1:] for found in everything(partition.log, bytes_max)] == expected
    found = partition.log.slice(19, sizes[19] - 1, at_least_one=False)
    assert (found.length, found.next_offset, found.descriptor >= 0) == (0, 19, True)


def test_a_slice_begins_with_the_batch_that_holds_the_offset(partition: Partition) -> None:
    for _ in range(300):
        partition.append_many([b"x" * 50] * 10)
    whole = partition.log.slice(0, LARGE).read()
    for offset in (0, 1, 9, 10, 1234, 2990, 2999):
        found = partition.log.slice(offset, LARGE)
        assert (found.first_offset, found.next_offset) == (offset - offset % 10, 3000)
        assert found.read() == whole[found.position :] == os.pread(found.descriptor, found.length, found.position)


def test_a_slice_ends_at_the_end_at_the_durable_offset_or_at_a_stop(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        partition = stores.open_partition(log)
        assert partition.log.slice(0, LARGE) == (None, 0, 0, 0, 0)
        partition.append_many([b"x"] * 10)
        partition.flush()
        partition.append_many([b"y"] * 10)
        assert partition.log.slice(0, LARGE).next_offset == 20
        assert partition.log.slice(0, LARGE, durable=True).next_offset == 10
        assert partition.log.slice(15, LARGE, durable=True)[1:] == (0, 0, 15, 15)
        assert partition.log.slice(0, LARGE, stop=19).next_offset == 10
        assert partition.log.slice(0, LARGE, stop=9)[1:] == (0, 0, 0, 0)
        assert (empty := partition.log.slice(20, LARGE)) == (None, 0, 0, 20, 20)
        assert empty.read() == b"" and empty.descriptor == -1
        for offset in (-1, 21):
            with pytest.raises(OffsetOutOfRangeError):
                partition.log.slice(offset, LARGE)
        with pytest.raises(InvalidArgumentError):
            partition.log.slice(0, -1)


def test_slices_go_on_across_segments(log: EventLog, store: Path, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 4096})
    for number in range(500):
        partition.append(b"%d" % number, timestamp=TIME_MS)
    slices = everything(partition.log)
    assert len(slices) == len(stores.segments(store)) > 5
    parsed = parse_batches(b"".join(found.read() for found in slices))
    assert [record.value for batch in parsed for record in batch.records] == [b"%d" % number for number in range(500)]
    assert [batch.base_offset for batch in parsed] == list(range(500))


def test_slices_pass_over_what_compaction_has_taken(log: EventLog, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"cleanup.policy": "compact", "segment.bytes": 4096})
    for number in range(1000):
        partition.append(b"%d" % number, b"k%d" % (number % 3))
        partition.append_many([b"other"] * 3, keys=[b"a", b"b", b"c"])
    log.maintain(compact_all=True)
    records = stores.everything(partition)
    assert len(records) < 100
    for offset in (0, 17, 2000):
        found, wanted = [], offset
        while (one := partition.log.slice(wanted, 500)).length:
            found += [record for batch in parse_batches(one.read()) for record in batch.records]
            wanted = one.next_offset
        assert [(record.offset, record.value) for record in found if record.offset >= offset] == [
            (record.offset, record.value) for record in records if record.offset >= offset
        ]


def test_a_slice_is_what_it_was_after_its_segment_was_deleted_or_its_partition_closed(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        log.alter_topic(stores.TOPIC, config={"segment.bytes": 4096})
        for _ in range(100):
            partition.append(bytes(100))
        found, before = partition.log.slice(0, LARGE), partition.log.slice(0, LARGE).read()
        partition.delete_records(90)
        assert not (stores.segments(store)[0].name.startswith("0" * 20))
        assert found.read() == before
        with pytest.raises(OffsetOutOfRangeError):
            partition.log.slice(0, LARGE)
        assert partition.log.slice(90, LARGE).first_offset == 90
        log.delete_topic(stores.TOPIC)
    assert found.read() == before
    del found
    assert not descriptors.open_files(store)


def test_a_file_is_closed_with_its_last_slice(log: EventLog, store: Path, partition: Partition) -> None:
    partition.append(b"x")
    found = partition.log.slice(0, LARGE)
    partition.log.roll()
    partition.log.release_old_files()
    assert found.read() == partition.log.slice(0, LARGE).read()
    log.delete_topic(stores.TOPIC)
    partition.log.release_old_files()
    assert [path for path in descriptors.open_files(store) if "0000.log" in path]
    del found
    assert not [path for path in descriptors.open_files(store) if "0000.log" in path]


def test_a_slice_is_sent_by_the_kernel(partition: Partition) -> None:
    partition.append_many([b"x" * 100] * 100)
    found = partition.log.slice(0, LARGE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert os.sendfile(ours.fileno(), found.descriptor, found.position, found.length) == found.length
        assert theirs.recv(found.length, socket.MSG_WAITALL) == found.read()


def _damage(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


@pytest.mark.parametrize(
    ("at", "data", "reason"),
    [(16, b"\x07", "magic"), (0, bytes(6) + b"\x07\0", "missing, a gap"), (8, b"\0\0\0\x01", "length too small")],
)
def test_what_the_headers_tell_of_damage_is_told(log: EventLog, store: Path, at: int, data: bytes, reason: str) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 4096})
    partition = stores.open_partition(log)
    for _ in range(100):
        partition.append(bytes(100))
    _damage(stores.segments(store)[1], at, data)
    slices = [partition.log.slice(0, LARGE)]
    with pytest.raises(CorruptLogError, match=reason) as raised:
        partition.log.slice(slices[0].next_offset, LARGE)
    assert raised.value.offset == slices[0].next_offset


def test_a_lying_index_is_passed_over_and_made_anew(log: EventLog, store: Path) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 40_960})
    partition = stores.open_partition(log)
    for _ in range(1000):
        partition.append(bytes(100))
    index = stores.segments(store)[0].with_suffix(".index")
    right = index.read_bytes()
    _damage(index, 4, b"\0\0\0\x07")
    assert partition.log.slice(40, 1).first_offset == 40
    assert index.read_bytes() == right


def test_a_missing_segment_is_told(log: EventLog, store: Path, partition: Partition) -> None:
    log.alter_topic(stores.TOPIC, config={"segment.bytes": 4096})
    for _ in range(100):
        partition.append(bytes(100))
    stores.segments(store)[1].unlink()
    first = partition.log.slice(0, LARGE)
    with pytest.raises(CorruptLogError, match="missing"):
        partition.log.slice(first.next_offset, LARGE)


# --- at once -----------------------------------------------------------------------------------------------


def _append_batches(connection: Connection, store: Path, name: bytes, count: int) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        connection.recv()
        for number in range(count):
            size = number % 7 + 1
            batch = made_batches.batch(values(*(b"%s-%d-%d" % (name, number, at) for at in range(size))))
            connection.send(tuple(partition.log.append(batch))[:2])


def test_processes_that_append_batches_at_once_get_offsets_of_their_own(store: Path) -> None:
    with Worker(_append_batches, store, b"a", 300) as first, Worker(_append_batches, store, b"b", 300) as second:
        for worker in (first, second):
            worker.send("begin")
        told = {b"a": [first.receive() for _ in range(300)], b"b": [second.receive() for _ in range(300)]}
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        records = stores.everything(partition)
        for name, ranges in told.items():
            for number, (start, stop) in enumerate(ranges):
                expected = [b"%s-%d-%d" % (name, number, at) for at in range(number % 7 + 1)]
                assert [record.value for record in records[start:stop]] == expected
        assert sum(stop - start for ranges in told.values() for start, stop in ranges) == len(records) == partition.end_offset
        assert not log.verify()[0].problems


def test_bytes_go_from_one_log_to_another_as_they_are(tmp_path: Path, log: EventLog, partition: Partition) -> None:
    for number in range(200):
        partition.append_many([b"%d" % number] * (number % 5 + 1), timestamps=[number] * (number % 5 + 1))
    stores.create(tmp_path / "other")
    with eventlog.open(tmp_path / "other") as other:
        copy = stores.open_partition(other)
        for found in everything(partition.log, 1000):
            assert copy.log.append(found.read())[:2] == (found.first_offset, found.next_offset)
        assert list(copy.records()) == list(partition.records())
        assert copy.log.slice(0, LARGE).read() == partition.log.slice(0, LARGE).read()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_decompresses_to_very_much_is_refused(log: EventLog, partition: Partition, codec: str) -> None:
    number = compression.CODEC_NUMBERS[codec]
    section = compression.compress(number, bytes(65 * 2**20))
    bomb = made_batches.batch(TWO, attributes=number, compress=lambda _: section)
    log.alter_topic(stores.TOPIC, config={"max.message.bytes": 2**23})
    with pytest.raises(RecordTooLargeError, match="decompress to more than 67108864 bytes"):
        partition.log.append(bomb)
    log.alter_topic(stores.TOPIC, config={"max.message.bytes": 66 * 2**20})
    with pytest.raises(InvalidBatchError, match="record 0"):  # of zeros
        partition.log.append(bomb)
