"""The ids of groups: free text for Kafka's clients."""

from __future__ import annotations

from eventlog.options import is_possible_group_name
from eventlog.serve import errors
from eventlog.serve.errors import RefusedError


def check_group_id(group_id: str) -> None:
    """Raise `RefusedError` unless a group can have this id."""
    if not is_possible_group_name(group_id):
        raise RefusedError(errors.INVALID_GROUP_ID, f"{group_id!r} cannot be the id of a group")
