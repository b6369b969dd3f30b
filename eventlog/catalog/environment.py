"""The LMDB environment of a store: opened once per process, never used across fork().

Source of the rules: https://lmdb.readthedocs.io, "Environment class" and "Caveats" of lmdb.h.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from eventlog.errors import DiskFullError, EventLogError, StoreOpenError

_MAP_BYTES = 2**30  # address space, not disk
_DATABASES_MAX = 16
_READERS_MAX = 1024

_lock = threading.Lock()
# A child of fork() must neither use nor close the parent's environments: closing would drop locks of its own. So they
# stay here, under the parent's process id.
_environments: dict[tuple[int, int, int], tuple[lmdb.Environment, int]] = {}


class CatalogEnvironment:
    """A share in the process's one environment for a directory."""

    def __init__(self, directory: Path) -> None:
        status = directory.stat()
        self._key = (os.getpid(), status.st_dev, status.st_ino)
        with _lock:
            environment, users = _environments.get(self._key, (None, 0))
            if environment is None:
                environment = _open(directory)
            _environments[self._key] = (environment, users + 1)
        self._environment = environment

    @contextmanager
    def transaction(self, database: bytes, *, write: bool = False) -> Iterator[lmdb.Transaction]:
        """A short transaction on a named database; committed, and on disk, on leaving. LMDB's errors become ours."""
        try:
            handle = self._environment.open_db(database)
            with self._environment.begin(db=handle, write=write) as transaction:
                yield transaction
        except (lmdb.DiskError, lmdb.MapFullError) as error:
            raise DiskFullError(f"the catalog cannot grow: {error}") from error
        except lmdb.Error as error:
            raise EventLogError(f"the catalog failed: {error}") from error

    def close(self) -> None:
        """Give the share back; the last one closes the environment."""
        with _lock:
            environment, users = _environments[self._key]
            if users > 1:
                _environments[self._key] = (environment, users - 1)
                return
            del _environments[self._key]
            environment.close()


def _open(directory: Path) -> lmdb.Environment:
    try:
        return lmdb.open(
            str(directory), map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, mode=0o600
        )
    except lmdb.Error as error:
        raise StoreOpenError(f"the catalog in {directory} cannot be opened: {error}") from error
