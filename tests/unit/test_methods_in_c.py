"""Methods written in C behave as methods do: they can be replaced, overridden and read about, and go with their objects."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

import eventlog
from eventlog import EventLog, Partition, Producer, Record
from tests.support.descriptors import open_files

TOPIC = "orders"
SIGNATURES = {
    Producer.send: "(self, /, topic, value, key=None, headers=None, partition=None, timestamp=None)",
    Partition.append: "(self, /, value, key=None, headers=None, timestamp=None, *, expected_end_offset=None)",
    Partition.append_many: (
        "(self, /, values, *, keys=None, headers=None, timestamps=None, compression=None, expected_end_offset=None)"
    ),
    Partition.read: "(self, /, offset, max_records=500, *, durable=False)",
    Partition.wait: "(self, /, offset, timeout=None, *, durable=False)",
}
OPTIONS = pytest.mark.parametrize("options", [{}, {"linger_ms": 1_000_000}], ids=["at once", "in batches"])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC)
        yield opened


@pytest.mark.parametrize("method", SIGNATURES, ids=lambda method: method.__qualname__)
def test_a_method_has_its_signature_and_says_what_it_does(method: Any) -> None:
    assert str(inspect.signature(method)) == SIGNATURES[method]
    assert "Raises" in inspect.getdoc(method)  # type: ignore[operator]


@OPTIONS
def test_send_is_replaced_for_all_producers_at_once(log: EventLog, options: dict[str, Any]) -> None:
    with log.producer(**options) as producer:
        with mock.patch.object(Producer, "send") as send:
            producer.send(TOPIC, b"never sent", key=b"k")
            send.assert_called_once_with(TOPIC, b"never sent", key=b"k")
        assert producer.send(TOPIC, b"sent").offset == 0
    assert list(log.partition(TOPIC, 0).values()) == [b"sent"]


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [("append", (b"y",), 1), ("append_many", ([b"y"],), range(1, 2)), ("read", (1,), []), ("wait", (0, 0), True)],
)
def test_a_method_of_partitions_is_replaced_for_all_at_once(
    log: EventLog, method: str, arguments: tuple[Any, ...], answer: object
) -> None:
    partition = log.partition(TOPIC, 0)
    partition.append(b"x")
    with mock.patch.object(Partition, method, return_value="instead") as replaced:
        assert getattr(partition, method)(*arguments) == "instead"
        replaced.assert_called_once_with(*arguments)
    assert partition.end_offset == 1
    assert getattr(partition, method)(*arguments) == answer


def test_a_subclass_overrides_the_methods_of_a_partition(log: EventLog) -> None:
    class Counting(Partition):
        calls: ClassVar[list[str]] = []

        def append(self, *arguments: Any, **named: Any) -> int:
            self.calls.append("append")
            return super().append(*arguments, **named)

        def read(self, *arguments: Any, **named: Any) -> list[Record]:
            self.calls.append("read")
            return super().read(*arguments, **named)

    partition = log.partition(TOPIC, 0)
    partition.__class__ = Counting
    partition.append(b"x", headers=(("not", b"plain"),))
    assert [record.value for record in partition.read(0, durable=False)] == [b"x"]
    assert Counting.calls == ["append", "read"]


@pytest.mark.parametrize(
    ("method", "told"),
    [("append", "'value'"), ("append_many", "'values'"), ("read", "'offset'"), ("wait", "'offset'")],
)
def test_a_method_of_a_partition_says_what_is_wrong_with_a_call(log: EventLog, method: str, told: str) -> None:
    with pytest.raises(TypeError, match=rf"Partition\.{method}\(\).*{told}"):
        getattr(log.partition(TOPIC, 0), method)()


@OPTIONS
def test_a_subclass_overrides_send(log: EventLog, options: dict[str, Any]) -> None:
    class Shouting(Producer):
        def send(self, topic: str, value: bytes | None, *arguments: Any, **named: Any) -> Any:
            return super().send(topic, (value or b"").upper(), *arguments, **named)

    with log.producer(**options) as producer:
        producer.__class__ = Shouting
        producer.send(TOPIC, b"loud", partition=0)
    assert list(log.partition(TOPIC, 0).values()) == [b"LOUD"]


def test_send_says_what_is_wrong_with_a_call(log: EventLog) -> None:
    with log.producer() as producer, pytest.raises(TypeError, match=r"Producer\.send\(\).*'value'"):
        producer.send(TOPIC)  # type: ignore[call-arg]


@OPTIONS
def test_a_producer_is_freed_with_the_receipts_that_it_refers_to(log: EventLog, options: dict[str, Any]) -> None:
    producer: Any = log.producer(**options)
    producer.receipts = [producer.send(TOPIC, b"x") for _ in range(3)]
    producer.close()
    seen = weakref.ref(producer)
    del producer
    gc.collect()
    assert seen() is None


def test_an_iterator_is_freed_with_what_refers_to_it(log: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    partition.append_many([b"x", b"y"])
    files = open_files(partition.directory)
    holders = [Holder(partition.values()), Holder(partition.records())]
    for holder in holders:
        next(holder.iterator)
        holder.itself = holder
    seen = [weakref.ref(holder) for holder in holders]
    del holders, holder
    gc.collect()
    assert [reference() for reference in seen] == [None, None]
    assert open_files(partition.directory) == files


class Holder:
    """Refers to an iterator, and to itself."""

    itself: Any = None

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
