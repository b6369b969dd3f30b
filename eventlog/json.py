"""JSON as keys and values: `dumps` is a serializer for producers, `loads` a deserializer for consumers."""

from __future__ import annotations

import json
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> bytes:
    """A value as compact JSON in UTF-8. Raises `TypeError` or `ValueError` for what JSON cannot express, such as NaN."""
    return _encoder.encode(value).encode()


def loads(data: bytes) -> Any:
    """The value that JSON in UTF-8 stands for. Raises `ValueError` if it is not JSON."""
    return json.loads(data.decode())
