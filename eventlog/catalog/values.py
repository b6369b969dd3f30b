"""Values of the catalog, each with a checksum: LMDB has none, and would hand out what a disk has made of a value.

    value   content | u32 CRC32C of the key and the content   (big-endian)

The key is part of it, because a key that has changed gives its value to somebody else.
"""

from __future__ import annotations

import struct

from eventlog.errors import EventLogError
from eventlog.records.checksum import checksum_of

_CHECKSUM = struct.Struct(">I")


def with_checksum(key: bytes, content: bytes) -> bytes:
    """What is stored under a key."""
    return content + _CHECKSUM.pack(checksum_of(content, checksum_of(key)))


def checked(key: bytes, value: bytes) -> bytes:
    """The content of what was found under a key. Raises `EventLogError` if it is not what was stored there."""
    content, found = value[: -_CHECKSUM.size], value[-_CHECKSUM.size :]
    if found != _CHECKSUM.pack(checksum_of(content, checksum_of(key))):
        raise EventLogError(f"the catalog is damaged: the checksum of entry {key!r} does not match; restore it from a backup")
    return content
