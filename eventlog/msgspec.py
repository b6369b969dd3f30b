"""msgspec structs and other types as values, in JSON: `dumps` is a serializer for producers, `loads(type)` a deserializer for
consumers.

Needs the extra `msgspec`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

_Type = TypeVar("_Type")

_encoder = msgspec.json.Encoder()


def dumps(value: Any) -> bytes:
    """A struct, or anything else that msgspec knows, as JSON. Raises `TypeError`."""
    data: bytes = _encoder.encode(value)
    return data


def loads(kind: type[_Type]) -> Callable[[bytes], _Type]:
    """A function that makes values of this type from JSON. It raises `msgspec.DecodeError`."""
    decode: Callable[[bytes], _Type] = msgspec.json.Decoder(kind).decode
    return decode
