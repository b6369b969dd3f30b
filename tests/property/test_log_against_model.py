"""Any sequence of calls gives what a list of records gives: through rolls, two handles, closing, and reboots."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import eventlog
from eventlog import ConflictError, EventLog, OffsetOutOfRangeError, Partition, RecordTooLargeError
from tests.property.strategies import TIMESTAMP_MAX, headers, nullable_bytes, small_events
from tests.support import heads, kafka_format, stores
from tests.support.model import Event, ModelLog

_SEGMENT_BYTES = 1024
_RECORD_BYTES_MAX = 512
_HANDLES = 2
_PREALLOCATED = bytes(700)

_handles = st.integers(0, _HANDLES - 1)
_counts = st.integers(1, 5) | st.just(500)
# Up to a few segments: offsets are taken modulo the end offset plus one.
_places = st.integers(0, 2**16)
_policies = st.sampled_from(["always", "interval", "never"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class LogAndModel(RuleBasedStateMachine):
    """One partition in tiny segments, open twice, beside its model."""

    timestamp_type = "CreateTime"

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="eventlog-property-"))
        self.store = self.directory / "store"
        self.model = ModelLog()
        self.logs: list[EventLog] = []

    @initialize(interval=st.sampled_from([0, 200, 4096]), policy=_policies)
    def create(self, interval: int, policy: str) -> None:
        stores.create(
            self.store,
            segment_bytes=_SEGMENT_BYTES,
            max_message_bytes=_RECORD_BYTES_MAX,
            index_interval_bytes=interval,
            message_timestamp_type=self.timestamp_type,
        )
        self._open(policy)

    def _open(self, policy: str) -> None:
        self.logs = [eventlog.open(self.store, fsync=policy, fsync_interval_ms=5) for _ in range(_HANDLES)]

    def _close(self) -> None:
        for log in self.logs:
            log.close()
        self.logs = []

    def partition(self, handle: int) -> Partition:
        return stores.open_partition(self.logs[handle])

    def _appended(self, handle: int, events: list[Event], offsets: range, earliest_ms: int) -> None:
        """Bring the model up to date. Times that the log chose are read back, and have to be those of the append."""
        records = self.partition(handle).read(offsets.start, len(events)) if events else []
        latest_ms = _now_ms()
        found = [record.timestamp for record in records]
        for event, timestamp in zip(events, found, strict=True):
            if event.timestamp is None or self.timestamp_type == "LogAppendTime":
                assert earliest_ms <= timestamp <= latest_ms
            else:
                assert timestamp == event.timestamp
        start = self.model.end_offset
        assert self.model.append(events, found) == range(start, start + len(events))
        assert offsets == (range(start, start + len(events)) if events else range(0))
        assert records == self.model.read(start, len(events))

    # --- what users do -----------------------------------------------------------------------------------

    @rule(handle=_handles, event=small_events)
    def append(self, handle: int, event: Event) -> None:
        earliest_ms = _now_ms()
        offset = self.partition(handle).append(event.value, event.key, event.headers or None, event.timestamp)
        self._appended(handle, [event], range(offset, offset + 1), earliest_ms)

    @rule(handle=_handles, events=st.lists(small_events, max_size=8))
    def append_many(self, handle: int, events: list[Event]) -> None:
        earliest_ms = _now_ms()
        try:
            offsets = self.partition(handle).append_many(
                [event.value for event in events],
                keys=[event.key for event in events],
                headers=[event.headers for event in events],
                timestamps=[event.timestamp for event in events],
            )
        except RecordTooLargeError:
            # Each record fits into a batch, so it is the unit that does not fit into a segment.
            assert sum(_bytes_of(event) for event in events) > _SEGMENT_BYTES // 2
            return
        self._appended(handle, events, offsets, earliest_ms)

    @rule(handle=_handles, values=st.lists(st.binary(max_size=100), max_size=5), difference=st.sampled_from([0, 0, -1, 1, 9]))
    def append_if(self, handle: int, values: list[bytes], difference: int) -> None:
        earliest_ms, end = _now_ms(), self.model.end_offset
        expected = max(0, end + difference)
        try:
            offsets = self.partition(handle).append_many(values, expected_end_offset=expected)
        except ConflictError as error:
            assert (error.expected_end_offset, error.end_offset) == (expected, end) and expected != end
            return
        assert expected == end
        self._appended(handle, [Event(value, None, (), None) for value in values], offsets, earliest_ms)

    @rule(handle=_handles, key=nullable_bytes, headers=headers, with_many=st.booleans())
    def append_too_large(
        self, handle: int, key: bytes | None, headers: tuple[tuple[str, bytes | None], ...], with_many: bool
    ) -> None:
        value = bytes(_RECORD_BYTES_MAX)
        with pytest.raises(RecordTooLargeError):
            if with_many:
                self.partition(handle).append_many([b"fits", value], keys=[None, key], headers=[None, headers])
            else:
                self.partition(handle).append(value, key, headers or None)

    @rule(handle=_handles, place=_places, count=_counts)
    def read(self, handle: int, place: int, count: int) -> None:
        offset = place % (self.model.end_offset + 1)
        assert self.partition(handle).read(offset, max_records=count) == self.model.read(offset, count)

    @rule(handle=_handles, beyond=st.integers(1, 2**62), is_before=st.booleans())
    def read_outside(self, handle: int, beyond: int, is_before: bool) -> None:
        with pytest.raises(OffsetOutOfRangeError):
            self.partition(handle).read(-beyond if is_before else self.model.end_offset + beyond)

    @rule(handle=_handles, start=st.none() | _places, stop=st.none() | st.integers(0, 2**16) | st.integers(0, 60))
    def iterate(self, handle: int, start: int | None, stop: int | None) -> None:
        if start is not None:
            start %= self.model.end_offset + 1
        expected = self.model.records(start, stop)
        assert list(self.partition(handle).records(start, stop)) == expected
        assert list(self.partition(handle).values(start, stop)) == [record.value for record in expected]

    @rule(handle=_handles, timestamp=st.integers(0, 42) | st.integers(0, TIMESTAMP_MAX), place=st.none() | _places)
    def find_time(self, handle: int, timestamp: int, place: int | None) -> None:
        if place is not None and self.model.end_offset:
            timestamp = self.model.read(place % self.model.end_offset, 1)[0].timestamp
        assert self.partition(handle).offset_for_time(timestamp) == self.model.offset_for_time(timestamp)

    @rule(handle=_handles)
    def flush(self, handle: int) -> None:
        self.partition(handle).flush()
        assert self.partition(handle).durable_offset == self.model.end_offset
        assert self.partition(handle).read(0, 1000, durable=True) == self.model.read(0, 1000)

    # --- what happens to stores --------------------------------------------------------------------------

    @rule(handle=_handles, policy=_policies)
    def reopen_one(self, handle: int, policy: str) -> None:
        self.logs[handle].close()
        self.logs[handle] = eventlog.open(self.store, fsync=policy)

    @rule(policy=_policies)
    def reopen_all(self, policy: str) -> None:
        self._close()
        self._open(policy)

    @rule(policy=_policies, knows_durable=st.booleans(), was_preallocated=st.booleans(), keeps_indexes=st.booleans())
    def reboot(self, policy: str, knows_durable: bool, was_preallocated: bool, keeps_indexes: bool) -> None:
        for handle in range(_HANDLES):
            self.partition(handle)
        self._close()
        head_file = stores.head_file(self.store)
        heads.simulate_reboot(head_file)
        if not knows_durable:
            heads.forget_durable_position(head_file)
        last = stores.segments(self.store)[-1]
        if not keeps_indexes:
            last.with_suffix(".index").unlink()
            last.with_suffix(".timeindex").unlink()
        if was_preallocated:
            with open(last, "ab") as file:
                file.write(_PREALLOCATED)
        self._open(policy)
        outcomes = [self.partition(handle).recovery.outcome for handle in range(_HANDLES)]
        assert outcomes == ["trimmed" if was_preallocated else "clean", "trusted"]

    @precondition(lambda self: self.logs)
    @invariant()
    def both_handles_see_the_same_range(self) -> None:
        for handle in range(_HANDLES):
            partition = self.partition(handle)
            assert (partition.start_offset, partition.end_offset) == (0, self.model.end_offset)
            assert 0 <= partition.durable_offset <= self.model.end_offset

    def teardown(self) -> None:
        """At the end every record is found in the files by a second reader, and `verify` has no complaint."""
        try:
            if self.logs:
                self.partition(0)
                assert [report.problems for report in self.logs[0].verify()] == [[]]
                self._close()
                self._check_files()
        finally:
            self._close()
            shutil.rmtree(self.directory)

    def _check_files(self) -> None:
        parsed = []
        for segment in stores.segments(self.store):
            assert segment.stat().st_size <= _SEGMENT_BYTES
            for batch in kafka_format.parse_log(segment):
                parsed.extend(batch.records)
        expected = [
            kafka_format.ParsedRecord(record.offset, record.timestamp, record.key, record.value, record.headers)
            for record in self.model.records(None, None)
        ]
        assert parsed == expected


class LogAndModelWithAppendTimes(LogAndModel):
    """The same with a topic whose timestamps are those of the appends."""

    timestamp_type = "LogAppendTime"


def _bytes_of(event: Event) -> int:
    """What an event takes at least."""
    parts = [event.value, event.key, *(part for name, value in event.headers for part in (name.encode(), value))]
    return 7 + sum(1 + len(part or b"") for part in parts)


_SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TestWithCreateTime = LogAndModel.TestCase
TestWithCreateTime.settings = _SETTINGS
TestWithLogAppendTime = LogAndModelWithAppendTimes.TestCase
TestWithLogAppendTime.settings = _SETTINGS
