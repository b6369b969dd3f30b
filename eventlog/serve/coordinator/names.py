"""The ids of groups: free text for Kafka's clients."""

from __future__ import annotations

from eventlog.serve import errors
from eventlog.serve.errors import RefusedError

_BYTES_MAX = 249  # with the longest topic it has to fit into a key of the catalog


def check_group_id(group_id: str) -> None:
    """Raise `RefusedError` unless a group can have this id."""
    if not 0 < len(group_id.encode()) <= _BYTES_MAX or "\0" in group_id:
        raise RefusedError(errors.INVALID_GROUP_ID, f"a group id has 1 to {_BYTES_MAX} bytes, none of which is 0")
