"""A store as its bytes tell it, read by nothing of the library: for checks by somebody who was not there.

Segments are parsed by `kafka_format`, heads and slots are taken as bytes, the catalog is asked by lmdb. Nobody may be at
work on the store meanwhile; processes may have died in it anywhere.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import lmdb

from tests.support import heads, stores
from tests.support.kafka_format import ParsedBatch, ParsedRecord, parse_batch, parse_batches, parse_index, parse_time_index

_SLOTS_AT, _SLOT_BYTES, _COMMITTED_AT = 20480, 128, 64  # native/store/acks.h
_READY_AT = 12
_TRANSACTIONAL, _CONTROL = 0x10, 0x20  # attributes of a batch
_MARKER = struct.Struct(">hh")  # version and type
_COMMIT = 1
_STORED_OFFSET = struct.Struct(">qqI")  # more stands behind it


class Bounds(NamedTuple):
    """What the head says: where the partition starts, what is on disk, where it ends, which segment is the last one, and how
    many bytes of its files are in use."""

    start_offset: int
    durable_offset: int
    end_offset: int
    active_base: int
    position: int
    index_bytes: int
    time_index_bytes: int
    is_writing: bool
    is_sealing: bool


def bounds(store: Path, topic: str, partition: int) -> Bounds | None:
    """Where a partition begins and ends; None if it has no segment. If whoever was initialising or recovering its head
    has died, it is what the segments say."""
    return _of_head(store, topic, partition) or _of_files(stores.partition_directory(store, partition, topic))


def _of_files(directory: Path) -> Bounds | None:
    """A partition without a head ends with the last batch that is right."""
    segments = sorted(directory.glob("*.log"))
    if not segments:
        return None
    base, data, position = int(segments[-1].stem), segments[-1].read_bytes(), 0
    end_offset = base
    with suppress(AssertionError, struct.error):
        while True:
            batch = parse_batch(data, position)
            position, end_offset = position + batch.size_bytes, batch.last_offset + 1
    return Bounds(int(segments[0].stem), 0, end_offset, base, position, 0, 0, is_writing=True, is_sealing=False)


def _of_head(store: Path, topic: str, partition: int) -> Bounds | None:
    path = stores.head_file(store, partition, topic)
    if not path.exists() or path.stat().st_size < heads.HEAD_BYTES:
        return None
    state = heads.MappedHead(path).state
    if not state.is_ready:
        return None
    if heads.is_of_earlier_boot(path):
        found = _of_files(stores.partition_directory(store, partition, topic))
        return found and found._replace(start_offset=max(found.start_offset, state.start_offset))
    tail = state.next if state.next_is_complete else state.tail
    assert state.end_offset <= tail.end_offset, "an end offset was published that the tail does not reach"
    assert state.durable_offset <= tail.end_offset, "more is durable than there is"
    return Bounds(
        state.start_offset, state.durable_offset, tail.end_offset, tail.segment_base, tail.position, tail.index_bytes,
        tail.time_index_bytes, bool(state.writing), bool(state.sealing),
    )  # fmt: skip


class Settled(NamedTuple):
    """Where the first open transaction of a partition begins (None: none is open), and (producer id, first offset, offset of
    the marker) of each that was aborted, in the order of their first offsets."""

    open_since: int | None
    aborted: list[tuple[int, int, int]]


class BareStore:
    """Reads partitions and groups; remembers the batches of segments that do not change any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parsed: dict[tuple[int, int, int], list[ParsedBatch]] = {}

    def records(self, topic: str, partition: int, *, is_compacted: bool = False) -> list[ParsedRecord]:
        """All records of a partition, once its files are found to be as they should."""
        directory = stores.partition_directory(self._path, partition, topic)
        found = bounds(self._path, topic, partition)
        if found is None:
            return []
        try:
            if is_compacted:
                return self._compacted(directory, found)
            return self._consecutive(directory, found)
        except AssertionError as error:
            raise AssertionError(f"{topic}-{partition}: {error}; its head: {found}") from error

    def committed_records(self, topic: str, partition: int) -> tuple[list[ParsedRecord], int, int]:
        """What a reader of committed records gets, by the markers in the log; the last stable offset; and the end offset."""
        found = bounds(self._path, topic, partition)
        if found is None:
            return [], 0, 0
        self.records(topic, partition)
        directory = stores.partition_directory(self._path, partition, topic)
        batches = [batch for _, of_segment in self._segments(directory, found) for batch in of_segment]
        records, open_since = committed(batches)
        return records, found.end_offset if open_since is None else open_since, found.end_offset

    def _segments(self, directory: Path, found: Bounds) -> list[tuple[int, list[ParsedBatch]]]:
        bases = sorted(int(path.stem) for path in directory.glob("*.log"))
        assert found.active_base in bases, f"segment {found.active_base} is missing"
        for base in bases:
            assert base <= found.active_base or (found.is_sealing and not _log(directory, base).stat().st_size), (
                f"segment {base} lies behind the active one"
            )
        return [(base, self._batches(directory, base, found)) for base in bases if base <= found.active_base]

    def _batches(self, directory: Path, base: int, found: Bounds) -> list[ParsedBatch]:
        path = _log(directory, base)
        if base == found.active_base:
            data = path.read_bytes()
            assert found.is_writing or not any(data[found.position :]), "bytes that nobody is writing stand behind the end"
            return parse_batches(data[: found.position])
        status = path.stat()
        key = status.st_ino, status.st_size, status.st_mtime_ns
        if key not in self._parsed:
            self._parsed[key] = parse_batches(path.read_bytes())
        return self._parsed[key]

    def _consecutive(self, directory: Path, found: Bounds) -> list[ParsedRecord]:
        """Every offset once; with indexes that say what is so."""
        segments = self._segments(directory, found)
        ends = [base for base, _ in segments[1:]] + [found.end_offset]
        for (base, batches), end in zip(segments, ends, strict=True):
            places = [base, *(batch.last_offset + 1 for batch in batches)]
            assert [batch.base_offset for batch in batches] == places[:-1], f"a gap in segment {base}"
            assert places[-1] == end, f"segment {base} ends with {places[-1]}, not {end}"
            if end > found.start_offset:  # else it is being deleted, and a process that died may have begun with the indexes
                _check_indexes(directory, base, batches, found)
        records = [record for _, batches in segments for batch in batches for record in batch.records]
        assert [record.offset for record in records] == list(range(segments[0][0], found.end_offset))
        return [record for record in records if record.offset >= found.start_offset]

    def _compacted(self, directory: Path, found: Bounds) -> list[ParsedRecord]:
        """Offsets rise, with gaps; while merged segments are being put in place, two files may have the same records."""
        segments = self._segments(directory, found)
        is_swapping = any(directory.glob("*.compaction"))
        records: dict[int, ParsedRecord] = {}
        for base, batches in segments:
            offsets = [record.offset for batch in batches for record in batch.records]
            assert offsets == sorted(set(offsets)) and all(offset >= base for offset in offsets), f"offsets of segment {base}"
            for record in (record for batch in batches for record in batch.records):
                other = records.setdefault(record.offset, record)
                assert other is record or (is_swapping and other[2:] == record[2:]), f"two records at {record.offset}"
            if not is_swapping:
                _check_indexes(directory, base, batches, found)
        assert all(offset < found.end_offset for offset in records)
        return [records[offset] for offset in sorted(records)]

    def catalog_bytes(self) -> int:
        """How much of the disk the catalog takes."""
        return (self._path / "meta" / "data.mdb").stat().st_blocks * 512

    def committed(self, group: str) -> dict[tuple[str, int], tuple[int, int]]:
        """(committed offset by the slot, by the catalog) of each partition; -1: none."""
        stored = self._stored_offsets(group)
        page = self._path / "shared" / f"{group}.acks"
        slots = page.read_bytes() if page.exists() else b""
        is_ready = len(slots) > _SLOTS_AT and struct.unpack_from("<I", slots, _READY_AT)[0] == 1
        found = {}
        for place, (offset, slot) in stored.items():
            at = _SLOTS_AT + slot * _SLOT_BYTES + _COMMITTED_AT
            found[place] = struct.unpack_from("<q", slots, at)[0] if is_ready else offset, offset
        return found

    def _stored_offsets(self, group: str) -> dict[tuple[str, int], tuple[int, int]]:
        """(offset, slot) by topic and partition."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        prefix = group.encode() + b"\0"
        with (
            lmdb.open(str(self._path / "meta"), readonly=True, lock=False, max_dbs=16) as catalog,
            catalog.begin() as transaction,
        ):
            offsets = catalog.open_db(b"offsets", transaction, create=False)
            for key, value in transaction.cursor(db=offsets):
                if key.startswith(prefix):
                    topic, partition = key[len(prefix) : -5].decode(), int.from_bytes(key[-4:], "big")
                    offset, _, slot = _STORED_OFFSET.unpack_from(value)
                    found[topic, partition] = offset, slot
        return found


def committed(batches: list[ParsedBatch]) -> tuple[list[ParsedRecord], int | None]:
    """The records that belong to no transaction, or to one that is committed, in the order of their offsets; and the offset of
    the first one of a transaction that is open."""
    records: list[ParsedRecord] = []
    waiting: dict[int, list[ParsedRecord]] = {}
    for batch in batches:
        if batch.attributes & _CONTROL:
            key = batch.records[0].key
            assert key is not None
            of_transaction = waiting.pop(batch.producer_id, [])
            records += of_transaction if _MARKER.unpack(key)[1] == _COMMIT else []
        elif batch.attributes & _TRANSACTIONAL:
            waiting.setdefault(batch.producer_id, []).extend(batch.records)
        else:
            records += batch.records
    open_since = min((of_transaction[0].offset for of_transaction in waiting.values()), default=None)
    return sorted(records, key=lambda record: record.offset), open_since


def settled(batches: list[ParsedBatch]) -> Settled:
    """What batches say about transactions."""
    begun: dict[int, int] = {}
    aborted = []
    for batch in batches:
        if batch.attributes & _CONTROL:
            key = batch.records[0].key
            first = begun.pop(batch.producer_id, None)
            if first is not None and key is not None and _MARKER.unpack(key)[1] != _COMMIT:
                aborted.append((batch.producer_id, first, batch.base_offset))
        elif batch.attributes & _TRANSACTIONAL:
            begun.setdefault(batch.producer_id, batch.base_offset)
    return Settled(min(begun.values(), default=None), sorted(aborted, key=lambda each: each[1]))


def _log(directory: Path, base: int) -> Path:
    return directory / f"{base:020}.log"


def _check_indexes(directory: Path, base: int, batches: list[ParsedBatch], found: Bounds) -> None:
    """Entries name batches, and rise; a sealed segment's time index ends with its largest timestamp."""
    is_active = base == found.active_base
    index = parse_index(_cut(_log(directory, base).with_suffix(".index"), found.index_bytes if is_active else None))
    places = {(batch.last_offset - base, batch.position) for batch in batches}
    assert set(index) <= places, f"index of segment {base}: an entry names no batch"
    assert all(one < other for one, other in pairwise(index)), f"index of segment {base} does not rise"
    path = _log(directory, base).with_suffix(".timeindex")
    time_index = parse_time_index(_cut(path, found.time_index_bytes if is_active else None))
    largest = -1
    maxima = set()
    for batch in batches:
        if batch.max_timestamp > largest:
            largest = batch.max_timestamp
            maxima.add((largest, batch.last_offset - base))
    assert set(time_index) <= maxima, f"time index of segment {base}: an entry names no batch with its timestamp"
    assert all(one < other for one, other in pairwise(time_index)), f"time index of segment {base} does not rise"
    assert is_active or not batches or time_index[-1:] == [max(maxima)], f"time index of segment {base} lacks its last entry"


def _cut(path: Path, length: int | None) -> bytes:
    data = path.read_bytes()
    assert length is None or len(data) >= length, f"{path.name} is shorter than the head says"
    return data[:length]
