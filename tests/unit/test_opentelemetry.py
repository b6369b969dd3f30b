"""Trace context in headers: a trace that begins where a record is sent goes on where it is processed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import eventlog.json
from eventlog import EventLog, TopicNotFoundError
from tests.support.stores import TOPIC

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from eventlog.opentelemetry import TracedProducer, extract, inject, processing

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def received(log: EventLog) -> Any:
    [record] = log.partition(TOPIC, 0).read(0)
    return record


def test_a_trace_goes_on_in_the_consumer(log: EventLog, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    with TracedProducer(log.producer(), tracer_provider=provider) as producer:
        receipt = producer.send(TOPIC, b"x", headers=[("h", b"1")])
    assert receipt.offset == 0
    with log.consumer(TOPIC, group="billing") as consumer:
        [record] = consumer.poll(10)
        with processing(record, group="billing", tracer_provider=provider) as span:
            assert trace.get_current_span() is span
    sent, processed = spans(exporter)[f"send {TOPIC}"], spans(exporter)[f"process {TOPIC}"]
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert processed.parent is not None and processed.parent.span_id == sent.context.span_id
    assert processed.context.trace_id == sent.context.trace_id
    headers = dict(record.headers)
    traceparent = headers["traceparent"]
    assert headers["h"] == b"1" and traceparent is not None
    assert traceparent.startswith(b"00-%032x-%016x-" % (sent.context.trace_id, sent.context.span_id))
    assert dict(sent.attributes or {}) == {
        "messaging.system": "eventlog", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": TOPIC, "messaging.destination.partition.id": "0", "eventlog.offset": 0,
    }  # fmt: skip
    assert dict(processed.attributes or {}) == {
        "messaging.system": "eventlog", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": TOPIC, "messaging.destination.partition.id": "0", "eventlog.offset": 0,
        "messaging.consumer.group.name": "billing",
    }  # fmt: skip


def test_what_another_library_has_sent_is_understood(log: EventLog) -> None:
    traceparent = f"00-{TRACE:032x}-{SPAN:016x}-01".encode()
    log.partition(TOPIC, 0).append(b"x", headers=[("traceparent", traceparent), ("tracestate", b"a=1"), ("other", None)])
    found = trace.get_current_span(extract(received(log))).get_span_context()
    assert (found.trace_id, found.span_id, found.is_remote) == (TRACE, SPAN, True)
    assert found.trace_state.get("a") == "1"


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"00-0-0-01", None])
def test_a_context_that_is_not_valid_begins_a_new_trace(
    log: EventLog, provider: TracerProvider, exporter: InMemorySpanExporter, value: bytes | None
) -> None:
    log.partition(TOPIC, 0).append(b"x", headers=[("traceparent", value)])
    with processing(received(log), tracer_provider=provider):
        pass
    assert spans(exporter)[f"process {TOPIC}"].parent is None


def test_a_record_that_is_passed_on_has_the_new_context_alone(log: EventLog, provider: TracerProvider) -> None:
    with TracedProducer(log.producer(), tracer_provider=provider) as producer:
        producer.send(TOPIC, b"x", headers={"h": b"1"})
        first = received(log)
        with processing(first, tracer_provider=provider):
            producer.send("onwards", b"x", headers=first.headers)
    [second] = log.partition("onwards", 0).read(0)
    assert sorted(name for name, _ in second.headers) == ["h", "traceparent"]
    before, after = dict(first.headers)["traceparent"], dict(second.headers)["traceparent"]
    assert before is not None and after is not None
    assert before[3:35] == after[3:35] and before[36:52] != after[36:52]


def test_baggage_goes_with_it(log: EventLog) -> None:
    token = context.attach(baggage.set_baggage("customer", "7"))
    try:
        log.partition(TOPIC, 0).append(b"x", headers=inject())
    finally:
        context.detach(token)
    assert baggage.get_baggage("customer", extract(received(log))) == "7"


def test_without_a_trace_nothing_is_added() -> None:
    assert inject([("h", None)]) == [("h", None)]
    assert inject() == []


def test_errors_are_recorded(log: EventLog, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    log.partition(TOPIC, 0).append(b"x")
    with pytest.raises(ZeroDivisionError), processing(received(log), tracer_provider=provider):
        _ = 1 / 0
    producer = TracedProducer(log.producer(auto_create_topics=False), tracer_provider=provider)
    with producer, pytest.raises(TopicNotFoundError):
        producer.send("nowhere", b"x")
    for name in (f"process {TOPIC}", "send nowhere"):
        assert spans(exporter)[name].status.status_code is StatusCode.ERROR


def test_each_kind_of_producer_can_be_traced(log: EventLog, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    with TracedProducer(log.producer(value_serializer=eventlog.json.dumps), tracer_provider=provider) as objects:
        objects.send(TOPIC, {"n": 1})
    with TracedProducer(log.producer(transactional_id="t"), tracer_provider=provider) as producer, producer.transaction():
        producer.send(TOPIC, b"2")
    values = [record.value for record in log.partition(TOPIC, 0).read(0)]
    assert values[:2] == [b'{"n":1}', b"2"]
    assert len(exporter.get_finished_spans()) == 2


def test_the_library_alone_imports_nothing_of_it() -> None:
    program = "import sys, eventlog; eventlog.open; print('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
