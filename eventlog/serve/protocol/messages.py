"""Kafka's messages: from bytes to objects and back, by functions compiled from Kafka's own message specifications.

`specs.json` contains these specifications (see NOTICE) for the APIs that are offered, without their comments. A pair of
functions is compiled for a message and a version when it is first used: no code names each field of each version.

Field names are Kafka's, in lower case with underscores. A field that a version does not have keeps its default.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from eventlog.serve.protocol.decoding import compile_decoder
from eventlog.serve.protocol.encoding import compile_encoder
from eventlog.serve.protocol.schema import Struct, parse_message

_SPECS = Path(__file__).with_name("specs.json")


class MalformedMessageError(Exception):
    """The bytes are not a valid message."""


class Codec(NamedTuple):
    """A message of one version. `decode` takes a memoryview and returns an object and where it ends; `encode` appends the
    bytes of an object to a list, in pieces, some of which may be buffers of the object itself."""

    decode: Callable[[memoryview], tuple[Any, int]]
    encode: Callable[[Any, list[Any]], None]


@cache
def _specs() -> dict[str, Any]:
    return {spec["name"]: spec for spec in json.loads(_SPECS.read_text("utf-8"))}


@cache
def message(name: str) -> Struct:
    """The schema of a message such as "FetchRequest". Its `kind` makes objects, and `struct` finds the structures inside."""
    return parse_message(_specs()[name])


@cache
def kind(name: str, inside: str | None = None) -> Any:
    """The class of a message's objects, or of a structure inside the message. Keyword arguments are fields."""
    found = message(name)
    return found.kind if inside is None else found.structs[inside].kind


@cache
def encoder_of(name: str, inside: str, version: int) -> Callable[[Any, list[Any]], None]:
    """The function that encodes a structure inside a message, for a list of such structures that is encoded ahead of it."""
    return compile_encoder(message(name).structs[inside], version)


@cache
def codec(name: str, version: int) -> Codec:
    """The functions that decode and encode a version of a message."""
    schema = message(name)
    assert version in schema.versions, f"{name} has no version {version}"
    decode_body = compile_decoder(schema, version)

    def decode(data: memoryview) -> tuple[Any, int]:
        try:
            found, end = decode_body(data, 0)
        except (IndexError, ValueError, OverflowError, RecursionError, struct.error) as error:
            raise MalformedMessageError(f"{name} of version {version}: {error}") from error
        if end > len(data):
            raise MalformedMessageError(f"{name} of version {version} ends before it is complete")
        return found, end

    return Codec(decode, compile_encoder(schema, version))


def is_flexible(name: str, version: int) -> bool:
    """Does this version have compact lengths and tagged fields, also in the header?"""
    return version in message(name).flexible_versions


def api_key(name: str) -> int:
    """The number of the API that a request belongs to."""
    return int(_specs()[name]["apiKey"])
