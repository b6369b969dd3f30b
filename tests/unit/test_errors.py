"""Errors go from process to process as what they are."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from eventlog import Record, errors

_MADE: dict[type[errors.EventLogError], errors.EventLogError] = {
    errors.OffsetOutOfRangeError: errors.OffsetOutOfRangeError("orders-0", 9, 2, 5),
    errors.ConflictError: errors.ConflictError("orders", 0, 4, 7),
    errors.InvalidBatchError: errors.InvalidBatchError(61, "its checksum does not match", 2, is_altered=True),
    errors.CorruptLogError: errors.CorruptLogError(Path("/store/logs/orders-0/0.log"), 61, "a wrong checksum", "orders", 0, 7),
}
_RECORD = Record("orders", 0, 7, 0, None, b"{", ())
_MADE[errors.SerializationError] = errors.SerializationError("orders", "value", "TypeError: not JSON")
_MADE[errors.DeserializationError] = errors.DeserializationError(_RECORD, "value", "ValueError: not JSON")
_MADE[errors.UnsupportedFormatError] = errors.UnsupportedFormatError(Path("0.log"), 0, "a message of format v1", "orders", 0, 7)
_ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.EventLogError)]


@pytest.mark.parametrize("kind", _ERRORS)
def test_an_error_survives_the_way_to_another_process(kind: type[errors.EventLogError]) -> None:
    """Pools of processes send what a task raised; one that cannot be made anew there makes them hang."""
    error = _MADE.get(kind) or kind("what was wrong")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (kind, str(error), vars(error))
