"""Share groups: an entry for each, its name as key, with the settings that it was given as JSON.

A group with an entry here is a share group. They are not with the group's own entry, so that earlier versions can read that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import lmdb

from eventlog.catalog.environment import SHARE_GROUPS, CatalogEnvironment
from eventlog.catalog.values import with_checksum
from eventlog.errors import EventLogError

ShareSettings = Mapping[str, int | str]
"""The settings that a share group was given, by Kafka's names; the others have their defaults."""


def find(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str) -> ShareSettings | None:
    """The settings of a share group; None if the group is not one. Raises `EventLogError`."""
    content = environment.content(transaction, SHARE_GROUPS, group.encode())
    if content is None:
        return None
    try:
        return dict(json.loads(content)["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's settings of share group {group!r} are damaged: {error}") from error


def store(
    transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str, settings: ShareSettings | None
) -> None:
    """Replace the settings of a share group; None: it is not one any more."""
    key, database = group.encode(), environment.database(SHARE_GROUPS)
    if settings is None:
        transaction.delete(key, db=database)
        return
    content = json.dumps({"config": dict(settings)}, separators=(",", ":"))
    transaction.put(key, with_checksum(key, content.encode()), db=database)
