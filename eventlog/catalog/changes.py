"""The last change of which topics and groups there are, and of topics: what other processes are told of.

    key     "last"
    value   u64 number of the transaction   (big-endian)

A process may die between its transaction and telling others. Whoever finds another number here than the one that was told last
tells them.
"""

from __future__ import annotations

import struct

import lmdb

from eventlog.catalog.environment import CHANGES, CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.errors import EventLogError

_KEY = b"last"
_NUMBER = struct.Struct(">Q")


def note_change(transaction: lmdb.Transaction, environment: CatalogEnvironment) -> None:
    """This transaction is such a change."""
    content = _NUMBER.pack(int(transaction.id()))
    transaction.put(_KEY, with_checksum(_KEY, content), db=environment.database(CHANGES))


def last_change(environment: CatalogEnvironment) -> int:
    """The number of the last one; 0 if there was none since versions that note none. Raises `EventLogError`."""
    with environment.transaction(CHANGES) as transaction:
        value = transaction.get(_KEY)
        if value is None:
            return 0
        content = checked(_KEY, bytes(value))
    if len(content) != _NUMBER.size:
        raise EventLogError("the catalog's note of its last change is damaged; restore it from a backup")
    return int(_NUMBER.unpack(content)[0])
