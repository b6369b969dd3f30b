"""Methods written in C behave as methods do: they can be replaced, overridden and read about, and go with their objects."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import eventlog
from eventlog import EventLog, Producer

TOPIC = "orders"
SIGNATURES = {
    Producer.send: "(self, /, topic, value, key=None, headers=None, partition=None, timestamp=None)",
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
