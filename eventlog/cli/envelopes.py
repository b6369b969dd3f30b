"""Records from what `consume --json` prints: whole records, byte by byte as they were."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from eventlog.cli.event_times import event_time
from eventlog.cli.inputs import BadLineError
from eventlog.cli.sources import Fields, Header, SourceRecord, decoded, refuse_constant

_DECODER = json.JSONDecoder(parse_constant=refuse_constant)
_NO_TIMESTAMP = -1  # what Kafka's format has where there is none


def envelope_records(lines: Iterator[bytes], fields: Fields, *, has_partitions: bool) -> Iterator[SourceRecord]:
    """Every line is an object with a `value`, and a `key`, `headers` and `timestamp` if it has them; blank lines are skipped.

    Its `partition` is the record's only if it `has_partitions`; its `topic` and `offset` are those of another log."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _record(number, decoded(number, line, _DECODER), fields, has_partitions=has_partitions)


def _record(line: int, found: Any, fields: Fields, *, has_partitions: bool) -> SourceRecord:
    if not isinstance(found, dict) or "value" not in found:
        raise BadLineError(
            line, "not what 'eventlog consume --json' prints, an object with a 'value' (for other JSON, use --format jsonl)"
        )
    partition = found.get("partition") if has_partitions else None
    if has_partitions and (type(partition) is not int or partition < 0):
        raise BadLineError(line, "no 'partition' that is a number: leave out --keep-partitions, or correct it")
    return SourceRecord(
        line,
        _bytes(line, "key", found.get("key")),
        _bytes(line, "value", found["value"]),
        (*fields.constant_headers, *_headers(line, found.get("headers") or [])),
        _timestamp(line, found.get("timestamp"), fields),
        partition,
    )


def _bytes(line: int, name: str, found: Any) -> bytes | None:
    try:
        if found is None:
            return None
        if isinstance(found, str):
            return found.encode("utf-8")
        if isinstance(found, dict) and list(found) == ["base64"]:
            return base64.b64decode(found["base64"], validate=True)
    except UnicodeEncodeError:
        raise BadLineError(line, f"{name!r} has half of a surrogate pair") from None
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadLineError(line, f"{name!r} is not base64: {error}") from None
    raise BadLineError(line, f"{name!r} is neither text, null nor {{'base64': ...}} (for other JSON, use --format jsonl)")


def _headers(line: int, found: Any) -> Iterator[Header]:
    if not isinstance(found, list):
        raise BadLineError(line, "'headers' is not a list of pairs")
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise BadLineError(line, "'headers' is not a list of pairs of name and value")
        try:
            pair[0].encode("utf-8")
        except UnicodeEncodeError:
            raise BadLineError(line, "the name of a header is not UTF-8 text") from None
        yield pair[0], _bytes(line, "headers", pair[1])


def _timestamp(line: int, found: Any, fields: Fields) -> int | None:
    if found is None or found == _NO_TIMESTAMP:
        return None
    if type(found) is not int:
        raise BadLineError(line, "'timestamp' is not a number of milliseconds")
    try:
        return event_time(str(found), fields.unit, is_any_time=fields.is_any_time)
    except ValueError as error:
        raise BadLineError(line, f"'timestamp': {error}") from None
