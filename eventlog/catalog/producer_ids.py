"""The ids of producers: which were given out, in blocks.

    key     "next"
    value   u64 the first id that nobody has   (big-endian)

    key     "name" 0x00 and a name
    value   u64 the id of the producer with this name   (big-endian)
"""

from __future__ import annotations

import random
import struct

import lmdb

from eventlog.catalog.environment import PRODUCER_IDS, CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.errors import EventLogError

_KEY = b"next"
_NUMBER = struct.Struct(">Q")
_IDS_A_BLOCK = 1000
_IDS_MAX = 2**63
# Two stores that were restored from one backup should not give out the same ids, either, so the distance is random.
_SKIPPED_MIN, _SKIPPED_BITS = 2**20, 40


class ProducerIdCatalog:
    """Gives out ids, each of them once."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def take_block(self) -> range:
        """The next 1,000 ids: durably, nobody else ever gets them. Raises `EventLogError`."""
        with self._environment.transaction(PRODUCER_IDS, write=True) as transaction:
            first = _next(transaction)
            _store_next(transaction, first + _IDS_A_BLOCK)
        return range(first, first + _IDS_A_BLOCK)

    def of_name(self, name: str, new_id: int) -> int:
        """The id of the producer with this name: always the same, which is `new_id` if it has none yet."""
        key = b"name\0" + name.encode()
        with self._environment.transaction(PRODUCER_IDS, write=True) as transaction:
            value = transaction.get(key)
            if value is None:
                transaction.put(key, with_checksum(key, _NUMBER.pack(new_id)))
                return new_id
            return _number(key, bytes(value))

    def skip(self) -> None:
        """Leave out, durably, more ids than any store has given out since it was backed up."""
        with self._environment.transaction(PRODUCER_IDS, write=True) as transaction:
            _store_next(transaction, _next(transaction) + _SKIPPED_MIN + random.SystemRandom().getrandbits(_SKIPPED_BITS))


def _next(transaction: lmdb.Transaction) -> int:
    value = transaction.get(_KEY)
    return 0 if value is None else _number(_KEY, bytes(value))


def _number(key: bytes, value: bytes) -> int:
    content = checked(key, value)
    if len(content) != _NUMBER.size:
        raise EventLogError(f"the catalog's producer id under {key!r} is damaged; restore it from a backup")
    return int(_NUMBER.unpack(content)[0])


def _store_next(transaction: lmdb.Transaction, number: int) -> None:
    if number > _IDS_MAX:
        raise EventLogError("this store has given out all ids for producers: copy its topics to a new store")
    transaction.put(_KEY, with_checksum(_KEY, _NUMBER.pack(number)))
