"""OpenTelemetry's trace context in the headers of records, so that a trace goes on in the consumers.

Needs the extra `opentelemetry`. Context is put into headers and taken out of them by the global propagator: unless it
was set otherwise, W3C's `traceparent`, `tracestate` and `baggage`. Spans follow OpenTelemetry's semantic
conventions for messaging: https://opentelemetry.io/docs/specs/semconv/messaging/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, TracerProvider

if TYPE_CHECKING:
    from eventlog.clock import Time
    from eventlog.contract import Producer, Receipt
    from eventlog.records.batch import Headers
    from eventlog.records.record import Record

_Pairs = tuple[tuple[str, bytes | None], ...]


class _RecordHeaders(Getter[_Pairs]):
    def get(self, carrier: _Pairs, key: str) -> list[str] | None:
        found = [value.decode("utf-8", "replace") for name, value in carrier if name.lower() == key and value is not None]
        return found or None

    def keys(self, carrier: _Pairs) -> list[str]:
        return [name for name, _ in carrier]


_GETTER = _RecordHeaders()


def inject(headers: Headers | None = None) -> list[tuple[str, bytes | None]]:
    """Headers for a record, with the current trace context: one that they had, such as those of a record that is passed on, is
    replaced."""
    context: dict[str, str] = {}
    propagate.inject(context)
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    others = [(name, value) for name, value in pairs if name.lower() not in context]
    return [*others, *((name, value.encode()) for name, value in context.items())]


def extract(record: Record) -> Context:
    """The trace context in a record's headers; an empty one without any."""
    context: Context = propagate.extract(record.headers, Context(), getter=_GETTER)
    return context


@contextmanager
def processing(
    record: Record, *, group: str | None = None, tracer_provider: TracerProvider | None = None
) -> Iterator[Span]:
    """A span for the work on a record, whose parent is the span that sent it, for the length of a block. An exception of the
    block is recorded."""
    attributes = {**_attributes("process", record.topic, record.partition), "eventlog.offset": record.offset}
    if group is not None:
        attributes["messaging.consumer.group.name"] = group
    with _tracer(tracer_provider).start_as_current_span(
        f"process {record.topic}", extract(record), SpanKind.CONSUMER, attributes
    ) as span:
        yield span


class TracedProducer:
    """A producer, of whatever kind, each `send` of which is a span, and puts its context into the record's headers. Everything
    else is that of the producer."""

    def __init__(self, producer: Producer, *, tracer_provider: TracerProvider | None = None) -> None:
        self._producer = producer
        self._tracer = _tracer(tracer_provider)

    def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """As `Producer.send`."""
        attributes = _attributes("send", topic, partition)
        with self._tracer.start_as_current_span(f"send {topic}", None, SpanKind.PRODUCER, attributes) as span:
            receipt = self._producer.send(topic, value, key, inject(headers), partition, timestamp)
            span.set_attribute("messaging.destination.partition.id", str(receipt.partition))
            if receipt.is_resolved:
                span.set_attribute("eventlog.offset", receipt.offset)
            return receipt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __enter__(self) -> TracedProducer:
        self._producer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<TracedProducer of {self._producer!r}>"


def _tracer(provider: TracerProvider | None) -> trace.Tracer:
    tracer: trace.Tracer = trace.get_tracer("eventlog", tracer_provider=provider)
    return tracer


def _attributes(operation: str, topic: str, partition: int | None) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "eventlog",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
    if partition is not None:
        attributes["messaging.destination.partition.id"] = str(partition)
    return attributes
