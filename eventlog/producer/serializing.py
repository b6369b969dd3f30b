"""Producers that turn objects into the bytes of keys and values.

They are classes of their own, so that producers without a serializer do not even ask for one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

from eventlog._native import BaseProducer
from eventlog.clock import Time
from eventlog.errors import InvalidTypeError, SerializationError
from eventlog.producer.idempotent import NamedProducer
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import Receipt
from eventlog.producer.transactional import TransactionalProducer
from eventlog.records.batch import Headers

Serializer = Callable[[Any], bytes]

_AnyProducer = TypeVar("_AnyProducer", bound=Producer)


class Serializers(NamedTuple):
    """The functions that make bytes of a key and of a value; None leaves them as they are. They never get a None: a record
    without a key, or a tombstone, is one with any serializer."""

    key: Serializer | None
    value: Serializer | None

    def check(self) -> None:
        """Raise `InvalidTypeError` unless both are functions or None."""
        for name, serializer in zip(("key_serializer", "value_serializer"), self, strict=True):
            if serializer is not None and not callable(serializer):
                raise InvalidTypeError(f"{name} must be a function that returns bytes, not {type(serializer).__name__}")

    def apply(self, topic: str, value: Any, key: Any) -> tuple[bytes | None, bytes | None]:
        """The bytes of a value and of a key. Raises `SerializationError`."""
        if value is not None and self.value is not None:
            value = _serialized(topic, "value", self.value, value)
        if key is not None and self.key is not None:
            key = _serialized(topic, "key", self.key, key)
        return value, key


def _serialized(topic: str, field: str, serializer: Serializer, value: Any) -> bytes:
    try:
        data = serializer(value)
    except Exception as error:
        raise SerializationError(topic, field, f"{type(error).__name__}: {error}") from error
    if not isinstance(data, bytes):
        raise SerializationError(topic, field, f"its serializer returned {type(data).__name__} instead of bytes")
    return data


class Serializing(BaseProducer):
    """What producers with serializers have in common. `serializers` is set by whoever creates one."""

    serializers: Serializers

    def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """As `Producer.send`, with any value and key that the serializers take. Raises `SerializationError`, too."""
        data, key = self.serializers.apply(topic, value, key)
        return super().send(topic, data, key, headers, partition, timestamp)


class SerializingProducer(Serializing, Producer):
    """A `Producer` with a serializer."""


class SerializingTransactionalProducer(Serializing, TransactionalProducer):
    """A `TransactionalProducer` with a serializer."""


class SerializingNamedProducer(Serializing, NamedProducer):
    """A `NamedProducer` with a serializer."""

    def send_once(
        self,
        topic: str,
        partition: int,
        sequence: int,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """As `NamedProducer.send_once`, with any value and key that the serializers take. Raises `SerializationError`, too."""
        data, key = self.serializers.apply(topic, value, key)
        return super().send_once(topic, partition, sequence, data, key, headers, timestamp)


_KINDS: dict[type[Producer], type[Producer]] = {
    Producer: SerializingProducer,
    TransactionalProducer: SerializingTransactionalProducer,
    NamedProducer: SerializingNamedProducer,
}


def maker(kind: type[_AnyProducer], serializers: Serializers) -> Callable[..., _AnyProducer]:
    """A function that makes producers of this kind with these serializers, from the arguments of the kind."""

    def make(*arguments: Any, **options: Any) -> _AnyProducer:
        producer = _KINDS[kind](*arguments, **options)
        cast(Serializing, producer).serializers = serializers
        return cast(_AnyProducer, producer)

    return make
