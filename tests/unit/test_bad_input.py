"""Bad input is refused with an error that names it, and nothing is changed by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import (
    EventLog,
    InvalidArgumentError,
    InvalidTypeError,
    OffsetOutOfRangeError,
    Partition,
    PartitionNotFoundError,
    RecordTooLargeError,
    TopicExistsError,
    TopicNotFoundError,
)
from tests.support import snapshots, stores

_RECORD_BYTES_MAX = 512
_SEGMENT_BYTES = 1024

Use = Callable[[EventLog, Partition], object]
Case = tuple[Use, type[Exception], str]


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[EventLog]:
    """A store with the topic `events`: two partitions, three records in partition 0, and small limits."""
    path = tmp_path / "store"
    stores.create(path, partitions=2, max_message_bytes=_RECORD_BYTES_MAX, segment_bytes=_SEGMENT_BYTES)
    with eventlog.open(path, fsync="never") as log:
        stores.open_partition(log).append_many([b"a", b"b", b"c"], timestamps=[1, 2, 3])
        yield log


def _check_refused(log: EventLog, case: Case) -> None:
    use, error, text = case
    partition = stores.open_partition(log)
    topics, before, records = log.topics(), snapshots.content(log.path), stores.everything(partition)
    with pytest.raises(error) as raised:
        use(log, partition)
    assert isinstance(raised.value, eventlog.EventLogError)
    assert text in str(raised.value)
    assert snapshots.content(log.path) == before
    assert (log.topics(), stores.everything(partition)) == (topics, records)
    assert partition.append(b"still usable") == len(records)


def _headers(headers: Any) -> Use:
    return lambda log, p: p.append(b"v", headers=headers)


def _append(*arguments: Any) -> Use:
    return lambda log, p: p.append(*arguments)


def _many(*arguments: Any, **lists: Any) -> Use:
    return lambda log, p: p.append_many(*arguments, **lists)


def _poll(*arguments: Any) -> Use:
    def use(log: EventLog, p: Partition) -> object:
        with log.consumer("events") as consumer:
            return consumer.poll(*arguments)

    return use


_HEADERS_TEXT = "headers of record 0 must be a list of (str, bytes or None) tuples"
_LIST_TEXT = "must be a list with one item for each record"

WRONG_TYPES: dict[str, Case] = {
    "a str as value": (_append("v"), InvalidTypeError, "value 0 must be bytes or None, not str"),
    "an int as value": (_append(1), InvalidTypeError, "value 0 must be bytes or None, not int"),
    "a bytearray as value": (_append(bytearray(b"v")), InvalidTypeError, "not bytearray"),
    "a memoryview as value": (_append(memoryview(b"v")), InvalidTypeError, "not memoryview"),
    "a str as key": (_append(b"v", "k"), InvalidTypeError, "key 0 must be bytes or None, not str"),
    "an int as key": (_append(b"v", 7), InvalidTypeError, "key 0 must be bytes or None, not int"),
    "a float as timestamp": (_append(b"v", None, None, 1.5), InvalidTypeError, "timestamp 0 must be an int"),
    "a str as timestamp": (_append(b"v", None, None, "1"), InvalidTypeError, "timestamp 0 must be an int"),
    "a bool as timestamp": (_append(b"v", None, None, True), InvalidTypeError, "timestamp 0 must be an int"),
    "headers as a dict": (_headers({"n": b"v"}), InvalidTypeError, _HEADERS_TEXT),
    "headers as a str": (_headers("nv"), InvalidTypeError, _HEADERS_TEXT),
    "headers as bytes": (_headers(b"nv"), InvalidTypeError, _HEADERS_TEXT),
    "headers as a number": (_headers(5), InvalidTypeError, _HEADERS_TEXT),
    "headers as a set": (_headers({("n", b"v")}), InvalidTypeError, _HEADERS_TEXT),
    "headers as one pair": (_headers(("n", b"v")), InvalidTypeError, _HEADERS_TEXT),
    "a header as a list": (_headers([["n", b"v"]]), InvalidTypeError, _HEADERS_TEXT),
    "a header of three": (_headers([("n", b"v", b"w")]), InvalidTypeError, _HEADERS_TEXT),
    "a header of one": (_headers([("n",)]), InvalidTypeError, _HEADERS_TEXT),
    "a header with bytes as name": (_headers([(b"n", b"v")]), InvalidTypeError, _HEADERS_TEXT),
    "a header without a name": (_headers([(None, b"v")]), InvalidTypeError, _HEADERS_TEXT),
    "a header name that is no Unicode text": (_headers([("\ud800", b"v")]), InvalidTypeError, _HEADERS_TEXT),
    "a header with a str as value": (_headers([("n", "v")]), InvalidTypeError, _HEADERS_TEXT),
    "a wrong header behind right ones": (_headers([("n", b"v"), ("m", 1)]), InvalidTypeError, _HEADERS_TEXT),
    "bytes as values": (_many(b"abc"), InvalidTypeError, f"values {_LIST_TEXT}, not bytes"),
    "a str as values": (_many("abc"), InvalidTypeError, f"values {_LIST_TEXT}, not str"),
    "a bytearray as values": (_many(bytearray(b"abc")), InvalidTypeError, f"values {_LIST_TEXT}"),
    "None as values": (_many(None), InvalidTypeError, f"values {_LIST_TEXT}, not NoneType"),
    "a number as values": (_many(5), InvalidTypeError, f"values {_LIST_TEXT}, not int"),
    "a dict as values": (_many({b"a": 1}), InvalidTypeError, f"values {_LIST_TEXT}, not dict"),
    "a set as values": (_many({b"a"}), InvalidTypeError, f"values {_LIST_TEXT}, not set"),
    "one wrong value among many": (_many([b"a", None, 3]), InvalidTypeError, "value 2 must be bytes or None, not int"),
    "bytes as keys": (_many([b"a"], keys=b"k"), InvalidTypeError, f"keys {_LIST_TEXT}, not bytes"),
    "a number as keys": (_many([b"a"], keys=5), InvalidTypeError, f"keys {_LIST_TEXT}, not int"),
    "a wrong key among many": (_many([b"a", b"b"], keys=[None, "k"]), InvalidTypeError, "key 1 must be bytes or None, not str"),
    "headers without a list around": (_many([b"a"], headers=[("n", b"v")]), InvalidTypeError, _HEADERS_TEXT),
    "wrong headers among many": (_many([b"a", b"b"], headers=[None, [1]]), InvalidTypeError, "headers of record 1"),
    "a wrong timestamp among many": (_many([b"a", b"b"], timestamps=[1, "2"]), InvalidTypeError, "timestamp 1"),
    "a bool among timestamps": (_many([b"a"], timestamps=[True]), InvalidTypeError, "timestamp 0 must be an int"),
}

OUT_OF_RANGE: dict[str, Case] = {
    "a negative timestamp": (_append(b"v", None, None, -1), InvalidArgumentError, "timestamp 0 is -1"),
    "a timestamp of 2**63": (_append(b"v", None, None, 2**63), InvalidArgumentError, "milliseconds from 0 to 2**63 - 1"),
    "a timestamp of 2**200": (_append(b"v", None, None, 2**200), InvalidArgumentError, "milliseconds from 0 to 2**63 - 1"),
    "a negative timestamp among many": (_many([b"a", b"b"], timestamps=[1, -2]), InvalidArgumentError, "timestamp 1 is -2"),
    "fewer keys than values": (_many([b"a", b"b"], keys=[b"k"]), InvalidArgumentError, "keys has 1 items for 2 values"),
    "more timestamps than values": (_many([b"a"], timestamps=[1, 2]), InvalidArgumentError, "timestamps has 2 items"),
    "max_records of 0": (lambda log, p: p.read(0, 0), InvalidArgumentError, "max_records is 0"),
    "max_records below 0": (lambda log, p: p.read(0, -1), InvalidArgumentError, "max_records is -1"),
    "max_records of 2**63": (lambda log, p: p.read(0, 2**63), InvalidArgumentError, "max_records is"),
    "a max_records of 0 to poll": (_poll(0, 0), InvalidArgumentError, "max_records is 0"),
    "a max_records of 2**63 to poll": (_poll(0, 2**63), InvalidArgumentError, "max_records is"),
    "a timeout of 2**53 s to poll": (_poll(2**53), InvalidArgumentError, "None waits without a limit"),
    "a negative stop": (lambda log, p: list(p.values(0, -1)), InvalidArgumentError, "stop is -1"),
    "a negative time to look for": (lambda log, p: p.offset_for_time(-1), InvalidArgumentError, "timestamp is -1"),
    "a time of 2**63 to look for": (lambda log, p: p.offset_for_time(2**63), InvalidArgumentError, "below 2**63"),
    "waiting for a negative offset": (lambda log, p: p.wait(-1, timeout=0), InvalidArgumentError, "offset is -1"),
    "waiting for offset 2**63": (lambda log, p: p.wait(2**63, timeout=0), InvalidArgumentError, "below 2**63"),
    "a timeout that is not a number": (lambda log, p: p.wait(9, float("nan")), InvalidArgumentError, "timeout is nan"),
    "a timeout of 2**53 s": (lambda log, p: p.wait(9, 2**53), InvalidArgumentError, "None waits without a limit"),
    "a timeout of 10**400 s": (lambda log, p: p.wait(9, 10**400), InvalidArgumentError, "None waits without a limit"),
    "an infinite timeout": (lambda log, p: p.wait(9, float("inf")), InvalidArgumentError, "None waits without a limit"),
}

WRONG_TYPES_OF_READING: dict[str, Case] = {
    **{
        f"{value!r} as an offset of {name}": (
            lambda log, p, name=name, value=value: list(getattr(p, name)(value)),
            InvalidTypeError,
            f"an offset must be an int, not {type(value).__name__}",
        )
        for name in ("read", "values", "records")
        for value in (True, 0.0, "0", b"0", [0])
    },
    "None as an offset to read": (lambda log, p: p.read(None), InvalidTypeError, "an offset must be an int"),
    "a float as max_records": (lambda log, p: p.read(0, 1.0), InvalidTypeError, "max_records must be an int, not float"),
    "a str as max_records to poll": (_poll(0, "1"), InvalidTypeError, "max_records must be an int, not str"),
    "a bool as max_records": (lambda log, p: p.read(0, True), InvalidTypeError, "max_records must be an int, not bool"),
    "a str as stop": (lambda log, p: list(p.records(0, "1")), InvalidTypeError, "stop must be an int, not str"),
    "a float as time": (lambda log, p: p.offset_for_time(1.0), InvalidTypeError, "timestamp must be an int, not float"),
    "a bool as time": (lambda log, p: p.offset_for_time(True), InvalidTypeError, "timestamp must be an int, not bool"),
    "a str as offset to wait for": (lambda log, p: p.wait("1", 0), InvalidTypeError, "offset must be an int, not str"),
    "a str as timeout": (lambda log, p: p.wait(9, "1"), InvalidTypeError, "timeout must be a number of seconds"),
    "a bool as timeout": (lambda log, p: p.wait(9, True), InvalidTypeError, "timeout must be a number of seconds"),
}

TOO_LARGE: dict[str, Case] = {
    "a large value": (_append(bytes(_RECORD_BYTES_MAX)), RecordTooLargeError, "max.message.bytes"),
    "a value of megabytes": (_append(bytes(10**7)), RecordTooLargeError, "max.message.bytes"),
    "a large key": (_append(b"v", bytes(_RECORD_BYTES_MAX)), RecordTooLargeError, "max.message.bytes"),
    "a large header name": (_headers([("n" * _RECORD_BYTES_MAX, b"v")]), RecordTooLargeError, "max.message.bytes"),
    "a large header value": (_headers([("n", bytes(_RECORD_BYTES_MAX))]), RecordTooLargeError, "max.message.bytes"),
    "a large one among small ones": (_many([b"a", bytes(_RECORD_BYTES_MAX), b"b"]), RecordTooLargeError, "record 1 takes"),
    "a unit larger than a segment": (_many([bytes(300)] * 10), RecordTooLargeError, "segment.bytes"),
}

UNKNOWN: dict[str, Case] = {
    "a partition of an unknown topic": (lambda log, p: log.partition("nothing", 0), TopicNotFoundError, "'nothing'"),
    "an unknown topic": (lambda log, p: log.topic("nothing"), TopicNotFoundError, "'nothing'"),
    "an unknown topic to verify": (lambda log, p: log.verify("nothing"), TopicNotFoundError, "'nothing'"),
    "a partition behind the last": (lambda log, p: log.partition("events", 2), PartitionNotFoundError, "it has 0 to 1"),
    "a negative partition": (lambda log, p: log.partition("events", -1), PartitionNotFoundError, "no partition -1"),
    "a partition of 2**70": (lambda log, p: log.partition("events", 2**70), PartitionNotFoundError, "it has 0 to 1"),
    **{
        f"{number!r} as partition": (
            lambda log, p, number=number: log.partition("events", number),
            InvalidTypeError,
            f"a partition number must be an int, not {type(number).__name__}",
        )
        for number in (False, True, 0.0, "0", None, [0])
    },
    **{
        f"{name!r} as topic": (
            lambda log, p, name=name: log.partition(name, 0),
            InvalidTypeError,
            f"a topic name must be a str, not {type(name).__name__}",
        )
        for name in (None, 5, b"events", ["events"])
    },
}

_REFUSED_BY_KAFKA = ["", ".", "..", "a/b", "../events", "a b", " a", "a\n", "a\0", "a:b", "a*", "größe", "x" * 250]

TOPICS: dict[str, Case] = {
    **{
        f"the name {name[:12]!r}": (
            lambda log, p, name=name: log.create_topic(name),
            InvalidArgumentError,
            "is not a valid topic name",
        )
        for name in _REFUSED_BY_KAFKA
    },
    **{
        f"{name!r} as a name": (
            lambda log, p, name=name: log.create_topic(name),
            InvalidTypeError,
            "a topic name must be a str",
        )
        for name in (None, 5, b"orders", ["orders"])
    },
    **{
        f"{count!r} partitions": (
            lambda log, p, count=count: log.create_topic("orders", count), InvalidArgumentError, f"partitions, not {count}"
        )
        for count in (0, -1, 100_001, 2**70)
    },
    **{
        f"{count!r} as number of partitions": (
            lambda log, p, count=count: log.create_topic("orders", count),
            InvalidTypeError,
            "the number of partitions must be an int",
        )
        for count in ("3", 3.0, True, None)
    },
    "a name that is there": (lambda log, p: log.create_topic("events"), TopicExistsError, "'events'"),
}  # fmt: skip


def _configured(config: Any) -> Use:
    return lambda log, p: log.create_topic("orders", config=config)


SETTINGS: dict[str, Case] = {
    "an unknown setting": (_configured({"retention.hours": 1}), InvalidArgumentError, "unknown topic setting"),
    "a setting that is no str": (_configured({5: 1}), InvalidArgumentError, "unknown topic setting 5"),
    "settings as a list": (_configured([("segment.bytes", 4096)]), InvalidTypeError, "config must be a mapping"),
    "settings as a str": (_configured("segment.bytes=4096"), InvalidTypeError, "config must be a mapping"),
    **{
        f"segment.bytes {value!r}"[:40]: (
            _configured({"segment.bytes": value}), InvalidArgumentError, "a whole number from 1024 to 2147483647"
        )
        for value in (
            1023, 2**31, -1, 4096.0, True, None, b"4096", [4096], "", "4096.0", "4e3", "4_096", "4 096", "٤٠٩٦", "9" * 5000
        )
    },
    **{
        f"{name} {value!r}": (_configured({name: value}), InvalidArgumentError, f"{name} is {value!r}, but must be one of")
        for name, value in [
            ("cleanup.policy", "keep"), ("cleanup.policy", ["compact"]), ("compression.type", 5), ("compression.type", "rar"),
            ("message.timestamp.type", "createtime"), ("message.timestamp.type", None),
        ]
    },
    "segment.jitter.ms -1": (_configured({"segment.jitter.ms": -1}), InvalidArgumentError, "from 0 to"),
    "retention.ms -2": (_configured({"retention.ms": -2}), InvalidArgumentError, "from -1 to"),
    "one wrong setting among right ones": (
        _configured({"segment.bytes": 4096, "segment.ms": 0}), InvalidArgumentError, "segment.ms is 0"
    ),
}  # fmt: skip

EVERYTHING = {**WRONG_TYPES, **OUT_OF_RANGE, **WRONG_TYPES_OF_READING, **TOO_LARGE, **UNKNOWN, **TOPICS, **SETTINGS}


@pytest.mark.parametrize("case", EVERYTHING.values(), ids=list(EVERYTHING))
def test_it_is_refused_by_name_and_changes_nothing(filled: EventLog, case: Case) -> None:
    _check_refused(filled, case)


@pytest.mark.parametrize("offset", [-1, 4, 2**31, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 2**80])
def test_an_offset_out_of_range_is_told_the_range_by_every_way_to_read(filled: EventLog, offset: int) -> None:
    partition = stores.open_partition(filled)
    for read in (partition.read, partition.values, partition.records):
        with pytest.raises(OffsetOutOfRangeError, match="it starts at 0 and ends at 3") as raised:
            read(offset)  # at the call, not at the first record
        assert (raised.value.offset, raised.value.start_offset, raised.value.end_offset) == (offset, 0, 3)


def test_invalid_arguments_are_also_the_errors_that_python_code_expects(filled: EventLog) -> None:
    partition = stores.open_partition(filled)
    with pytest.raises(ValueError):
        partition.read(0, 0)
    with pytest.raises(TypeError):
        partition.append("v")  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        filled.partition("nothing", 0)


def test_what_a_lazy_sequence_raises_comes_through_and_nothing_is_appended(filled: EventLog) -> None:
    def values() -> Iterator[bytes]:
        yield b"a"
        raise KeyError("a source that breaks off")

    partition = stores.open_partition(filled)
    before = snapshots.content(filled.path)
    with pytest.raises(KeyError, match="breaks off"):
        partition.append_many(values())  # type: ignore[arg-type]
    assert snapshots.content(filled.path) == before


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "-", "_", "a-0"])
def test_what_kafka_accepts_as_a_name_is_accepted(tmp_path: Path, name: str) -> None:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(name, partitions=2)
        assert log.topics() == [name]
        if len(name) < 245:  # "-0.head" still has to fit into a file name of 255 bytes
            assert log.partition(name, 1).append(b"v") == 0


def test_numbers_in_settings_may_be_text(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("events", config={"segment.bytes": "4096", "retention.ms": "-1"})
        assert log.topic("events").config == {"segment.bytes": 4096, "retention.ms": -1}
