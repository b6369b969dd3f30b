"""What a remote client has stored with a committed offset: the leader epoch of the record before it, and a text of its own.

    key     as in the database of the offsets
    value   i64 committed offset | i32 leader epoch, -1: none | the text in UTF-8       (big-endian)

An entry belongs to the offset in it: once the group has committed another one, it says nothing any more.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import lmdb

from eventlog.catalog.environment import COMMIT_DETAILS, CatalogEnvironment
from eventlog.catalog.values import with_checksum
from eventlog.errors import EventLogError

_HEAD = struct.Struct(">qi")


class CommitDetails(NamedTuple):
    """The leader epoch (-1: none) and the text that came with the committed offset `offset`."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


def find(transaction: lmdb.Transaction, environment: CatalogEnvironment, key: bytes) -> CommitDetails | None:
    """The details of one partition of a group. Raises `EventLogError`."""
    content = environment.content(transaction, COMMIT_DETAILS, key)
    if content is None:
        return None
    try:
        offset, leader_epoch = _HEAD.unpack_from(content)
        return CommitDetails(offset, leader_epoch, content[_HEAD.size :].decode())
    except (struct.error, ValueError) as error:
        raise EventLogError(f"the catalog's entry {key!r} is damaged: {error}") from error


def store(transaction: lmdb.Transaction, environment: CatalogEnvironment, key: bytes, details: CommitDetails) -> None:
    """Replace the details of one partition of a group."""
    content = _HEAD.pack(details.offset, details.leader_epoch) + details.metadata.encode()
    transaction.put(key, with_checksum(key, content), db=environment.database(COMMIT_DETAILS))


def delete(transaction: lmdb.Transaction, environment: CatalogEnvironment, key: bytes) -> None:
    """Remove the details of one partition of a group, if there are any."""
    transaction.delete(key, db=environment.database(COMMIT_DETAILS))
