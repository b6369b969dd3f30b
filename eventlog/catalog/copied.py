"""The catalog in a process that changes nothing: a copy in memory, made anew once the catalog has changed.

LMDB keeps the pages that a reader sees because the reader enters itself into the lock file; a process that does not write there
could be shown pages that are being reused. So this one copies the data file, and checks that the copy is the catalog of one
moment. LMDB overwrites a page that transaction N + 1 has freed in transaction N + 3 at the earliest. So all pages of
transaction N are in a copy if N + 1 was the last transaction, at most, when the copy was complete.
Source: mdb_page_alloc(), mdb_find_oldest() and mdb_env_write_meta() of mdb.c.
"""

from __future__ import annotations

import os
import struct
import weakref
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from eventlog.access import memory_file, refuse_link
from eventlog.catalog.environment import CatalogEnvironment, catalog_file, open_copy
from eventlog.catalog.sharing import Opened, SharedEnvironment
from eventlog.errors import EventLogError, ReadOnlyStoreError, StoreOpenError, os_errors_as

_META = struct.Struct("=16xII16xI92xQQ")  # MDB_page and MDB_meta: magic, version, page size, last page, transaction
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_ATTEMPTS = 20
_DAMAGED = "{} is damaged: restore the store from a backup"


def _errors_of_reading(path: Path) -> os_errors_as:
    return os_errors_as(lambda error: StoreOpenError(f"the catalog {path} cannot be read: {error.strerror}"))


class _Meta(NamedTuple):
    """What a meta page says, with the bytes that say it."""

    transaction: int
    pages: int
    content: bytes


class CopiedCatalog(CatalogEnvironment):
    """A catalog of which this process writes no byte, and which others may be changing. Each transaction sees the catalog as it
    was at some moment after the call of `transaction`.

    Raises `StoreOpenError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._user = object()
        self._shared = SharedEnvironment()
        self._shared.users.add(self._user)
        self._copied = -1
        path = catalog_file(directory)
        with _errors_of_reading(path):
            refuse_link(path)
            self._file = FileIO(path, "rb")
        self._shared.ensure(self._open_anew, read_only=True)
        weakref.finalize(self, self._shared.abandon, self._user).atexit = False

    def _prepare(self, write: bool) -> None:
        if write:
            raise ReadOnlyStoreError(f'{self!r} is open to read only: open the store without mode="r" to change it')
        opened = self._opened()
        if not self._shared.is_used_by_this_thread() and self.last_transaction() != self._copied:
            self._shared.renew(self._open_anew, opened)

    def last_transaction(self) -> int:
        """The number of the last transaction that has changed anything, by any process."""
        return max(each.transaction for each in self._metas())

    def free_dead_readers(self) -> int:
        """0: this process frees nothing."""
        return 0

    def close(self) -> None:
        """Give the copy back. A second call does nothing."""
        super().close()
        self._file.close()

    def _open_anew(self, read_only: bool) -> Opened:
        path = catalog_file(self._directory)
        with _errors_of_reading(path):
            descriptor, self._copied = self._copy()
        try:
            return open_copy(path, descriptor)
        finally:
            os.close(descriptor)

    def _copy(self) -> tuple[int, int]:
        """A file with the catalog of one moment, and the number of its last transaction."""
        for _ in range(_ATTEMPTS):
            before = self._metas()
            newest = max(before, key=lambda meta: meta.transaction)
            copy = self._pages(before, newest)
            after = self._metas()
            is_whole = newest in after  # it was not being written
            if is_whole and max(each.transaction for each in after) <= newest.transaction + 1:
                return copy, newest.transaction
            os.close(copy)
        raise EventLogError(f"{self!r} changes faster than it can be copied: try again")

    def _metas(self) -> list[_Meta]:
        first = os.pread(self._file.fileno(), _META.size, 0)
        if len(first) < _META.size:
            raise StoreOpenError(_DAMAGED.format(repr(self)))
        page_bytes = _META.unpack(first)[2]
        return [_parsed(self, content) for content in (first, os.pread(self._file.fileno(), _META.size, page_bytes))]

    def _pages(self, metas: list[_Meta], newest: _Meta) -> int:
        page_bytes = _META.unpack(newest.content)[2]
        size = max(newest.pages, len(metas)) * page_bytes
        if os.fstat(self._file.fileno()).st_size < size:
            raise StoreOpenError(f"{self!r} is cut off: it should have {size} bytes; restore the store from a backup")
        copy = memory_file("eventlog-catalog", size)
        try:
            position = 0
            while position < size:
                sent = os.sendfile(copy, self._file.fileno(), position, size - position)
                if sent == 0:
                    break
                position += sent
            for number, meta in enumerate(metas):
                os.pwrite(copy, meta.content, number * page_bytes)
        except BaseException:
            os.close(copy)
            raise
        return copy


def _parsed(catalog: CopiedCatalog, content: bytes) -> _Meta:
    if len(content) == _META.size:
        magic, version, page_bytes, last_page, transaction = _META.unpack(content)
        if (magic, version) == (_MAGIC, _VERSION) and page_bytes >= _META.size:
            return _Meta(transaction, last_page + 1, content)
    raise StoreOpenError(_DAMAGED.format(repr(catalog)))
