"""The checks of what is to be appended, before anything is."""

from __future__ import annotations

from typing import Any

from eventlog.clock import as_timestamp, now_ms
from eventlog.errors import InvalidArgumentError, InvalidTypeError, NotSupportedError

_TIMESTAMP_END = 2**63


def check_bytes(what: str, value: object) -> bytes | None:
    """A key or a value. Raises `InvalidTypeError`."""
    if value is not None and not isinstance(value, bytes):
        raise InvalidTypeError(f"{what} must be bytes or None, not {type(value).__name__}")
    return value


def check_headers(headers: Any) -> list[tuple[str, bytes | None]]:
    """The headers of a record. Raises `InvalidTypeError`."""
    if headers is None:
        return []
    if not isinstance(headers, list | tuple) or not all(_is_header(each) for each in headers):
        raise InvalidTypeError("headers must be a list of (str, bytes or None) tuples, or None")
    return list(headers)


def _is_header(header: object) -> bool:
    is_pair = isinstance(header, tuple) and len(header) == 2
    return is_pair and isinstance(header[0], str) and isinstance(header[1], bytes | None)  # type: ignore[index]


def check_timestamp(timestamp: object) -> int:
    """Milliseconds since the epoch, also of an aware datetime; None means now. Raises `InvalidTypeError`,
    `InvalidArgumentError`, `NotSupportedError`."""
    timestamp = as_timestamp(timestamp)
    if timestamp is None:
        return now_ms()
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise InvalidTypeError(f"a timestamp must be an int (milliseconds) or a datetime, not {type(timestamp).__name__}")
    if not 0 <= timestamp < _TIMESTAMP_END:
        raise InvalidArgumentError(f"timestamp is {timestamp}, but must be milliseconds from 0 to 2**63 - 1")
    if timestamp == 0:
        raise NotSupportedError("a record cannot have the timestamp 0 here: librdkafka takes it for 'now'; use 1")
    return timestamp
