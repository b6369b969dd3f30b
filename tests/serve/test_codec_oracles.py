"""The codec beside those of two clients: each reads what this one writes, and this one what they write."""

from __future__ import annotations

import io
import random
import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from kafka.protocol import admin, consumer, metadata, producer, sasl

from eventlog.serve.protocol import messages
from tests.serve.test_messages import any_struct, as_plain, decode, encode, of_every_version

# kafka-python's classes have the names of the messages.
KAFKA_PYTHON = {
    name: getattr(module, name)
    for module in (admin, consumer, metadata, producer, sasl)
    for name in dir(module)
    if name.endswith(("Request", "Response"))
}


def examples(name: str, version: int) -> list[Any]:
    chance = random.Random(f"{name} {version}")
    return [any_struct(messages.message(name), version, chance) for _ in range(10)]


@of_every_version
def test_kafka_python_reads_what_is_written_and_is_read(name: str, version: int) -> None:
    known = KAFKA_PYTHON.get(name)
    if known is None or version > known.max_version:
        return  # kafka-python does not know this version
    for value in examples(name, version):
        if name == "ApiVersionsResponse":
            value.error_code = 0  # any other would be an answer of version 0 to this client
        found = known.decode(encode(name, version, value), version=version)
        found._header = None  # as in an object that was not decoded
        assert as_plain(decode(name, version, found.encode(version=version))) == as_plain(value)


@pytest.mark.skipif(find_spec("kio") is None, reason="needs kio")
@of_every_version
def test_kio_reads_what_is_written_and_is_read(name: str, version: int) -> None:
    serial = import_module("kio.serial")
    package, _, end = re.sub("(?<!^)(?=[A-Z])", "_", name).lower().rpartition("_")
    known = getattr(import_module(f"kio.schema.{package}.v{version}.{end}"), name)
    for value in examples(name, version):
        try:
            found, _ = serial.entity_reader(known)(encode(name, version, value), 0)
        except (serial.errors.OutOfBoundValue, ValueError):
            continue  # a time or an error code that the type can hold, and kio cannot
        buffer = io.BytesIO()
        serial.entity_writer(known)(buffer, found)
        assert as_plain(decode(name, version, buffer.getvalue())) == as_plain(value)
