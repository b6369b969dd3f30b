"""How a group's committed offsets changed, and who changed them: bounded, the oldest entries are dropped first.

    key     group 0x00 number (u64, big-endian)
    value   u64 bytes of the JSON of this group up to this one, ever   (big-endian) | JSON

So two entries tell how many bytes stand between them, and nothing has to be counted.
"""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

import lmdb

from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.errors import EventLogError
from eventlog.records.record import TopicPartition

DATABASE = b"history"
BYTES_MAX = 256 * 1024  # a group's; the entry that was written last stays, however large it is
ENTRIES_MAX = 1000

_NUMBER = struct.Struct(">Q")
_TOTAL = struct.Struct(">Q")
_LAST = b"\xff" * 9


class OffsetChange(NamedTuple):
    """The change of one committed offset; None: there is none. `member_id` owned the partition, None: nobody did."""

    partition: TopicPartition
    before: int | None
    after: int | None
    member_id: str | None = None


class HistoryEntry(NamedTuple):
    """Changes that were stored at once, `at_ms` milliseconds since the epoch. `kind` is "commit" for what members acknowledged
    since the entry before, else what somebody did to the group: "reset", "undo", "import", "copy" or "delete".

    `process_id` and `host` say who stored it: for commits, any process that has the group open."""

    number: int
    at_ms: int
    kind: str
    process_id: int
    host: str
    changes: tuple[OffsetChange, ...]


def _prefix(group: str) -> bytes:
    return group.encode() + b"\0"


def append(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str, entry: HistoryEntry) -> None:
    """Add an entry after the others; its number is chosen here."""
    cursor = transaction.cursor(db=environment.database(DATABASE))
    prefix = _prefix(group)
    number, total = 0, 0
    last = _last(cursor, prefix)
    if last is not None:
        number, total = last[0] + 1, last[1]
    content = _encode(entry)
    total += len(content)
    key = prefix + _NUMBER.pack(number)
    cursor.put(key, with_checksum(key, _TOTAL.pack(total) + content))
    _drop_oldest(cursor, prefix, number, total)


def _content(cursor: lmdb.Cursor) -> bytes:
    """The content of the entry at the cursor, as it was stored."""
    return checked(bytes(cursor.key()), bytes(cursor.value()))


def _last(cursor: lmdb.Cursor, prefix: bytes) -> tuple[int, int] | None:
    """The number of a group's last entry, and its total."""
    is_behind = cursor.set_range(prefix + _LAST)
    found = cursor.prev() if is_behind else cursor.last()
    if not found or not bytes(cursor.key()).startswith(prefix):
        return None
    return _NUMBER.unpack(bytes(cursor.key())[len(prefix) :])[0], _TOTAL.unpack_from(_content(cursor))[0]


def _drop_oldest(cursor: lmdb.Cursor, prefix: bytes, number: int, total: int) -> None:
    while cursor.set_range(prefix):
        first = _NUMBER.unpack(bytes(cursor.key())[len(prefix) :])[0]
        content = _content(cursor)
        before = _TOTAL.unpack_from(content)[0] - (len(content) - _TOTAL.size)
        if first == number or (number - first < ENTRIES_MAX and total - before <= BYTES_MAX):
            return
        cursor.delete()


def _encode(entry: HistoryEntry) -> bytes:
    changes = [[*change.partition, change.before, change.after, change.member_id] for change in entry.changes]
    content = [entry.at_ms, entry.kind, entry.process_id, entry.host, changes]
    return json.dumps(content, separators=(",", ":")).encode()


def _decode(group: str, number: int, content: bytes) -> HistoryEntry:
    try:
        at_ms, kind, process_id, host, changes = json.loads(content)
        decoded = (
            OffsetChange(TopicPartition(topic, partition), before, after, member_id)
            for topic, partition, before, after, member_id in changes
        )
        return HistoryEntry(number, at_ms, kind, process_id, host, tuple(decoded))
    except (ValueError, TypeError) as error:
        raise EventLogError(f"the catalog's history of group {group!r} is damaged: {error}") from error


def find_last(
    transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str, count: int | None
) -> list[HistoryEntry]:
    """The last `count` entries of a group (None: all there are), the oldest first."""
    prefix = _prefix(group)
    cursor = transaction.cursor(db=environment.database(DATABASE))
    last = _last(cursor, prefix)
    if last is None:
        return []
    first = 0 if count is None else max(0, last[0] - count + 1)
    entries = []
    if cursor.set_range(prefix + _NUMBER.pack(first)):
        for key in cursor.iternext(values=False):
            if not bytes(key).startswith(prefix):
                break
            entries.append(_decode(group, _NUMBER.unpack(bytes(key)[len(prefix) :])[0], _content(cursor)[_TOTAL.size :]))
    return entries


def delete_all(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str) -> None:
    """Remove the history of a group."""
    prefix = _prefix(group)
    cursor = transaction.cursor(db=environment.database(DATABASE))
    while cursor.set_range(prefix) and bytes(cursor.key()).startswith(prefix):
        cursor.delete()
