"""The LMDB environment of a store: opened once per process, never used across fork().

Source of the rules: https://lmdb.readthedocs.io, "Environment class" and "Caveats" of lmdb.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from eventlog.errors import DiskFullError, EventLogError, StoreOpenError

_MAP_BYTES = 2**30  # address space, not disk
_DATABASES = (b"topics", b"deleted", b"groups", b"offsets", b"history")
_DATABASES_MAX = 16
_READERS_MAX = 1024
_DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"
_LOCK_BYTES = 72 * 1024  # a header, and 64 bytes a reader
_META_PAGES = 2


Gate = Callable[[], AbstractContextManager[None]]


class _Opened(NamedTuple):
    environment: lmdb.Environment
    databases: dict[bytes, Any]
    is_read_only: bool


class _Environments:
    """The environments that are open in this process, by the device and inode of their directory.

    LMDB must be opened once in a process, and a child of fork() must not use what its parent opened. The child closes its
    copies, so that it can open the store itself; a fork waits until no transaction is under way, because closing would
    abort it for the parent, too."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.changed = threading.Condition()
        self.users: dict[tuple[int, int], int] = {}
        self.opened: dict[tuple[int, int], _Opened] = {}
        self.transactions = 0

    def share(self, directory: Path, create: bool, read_only: bool) -> tuple[tuple[int, int], _Opened]:
        """Open the environment of a directory, or take part in the one that is open; who writes waits for who only reads."""
        status = directory.stat()
        key = status.st_dev, status.st_ino
        with self.changed:
            self.changed.wait_for(lambda: read_only or key not in self.opened or not self.opened[key].is_read_only)
            if key not in self.opened:
                self.opened[key] = _open_read_only(directory) if read_only else _open(directory, create)
            self.users[key] = self.users.get(key, 0) + 1
            return key, self.opened[key]

    def give_back(self, key: tuple[int, int]) -> None:
        """Close the environment if this was its last user."""
        with self.changed:
            self.users[key] -= 1
            if self.users[key] == 0:
                del self.users[key]
                self.opened.pop(key).environment.close()
                self.changed.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep fork() away."""
        with self.changed:
            self.transactions += 1
        try:
            yield
        finally:
            with self.changed:
                self.transactions -= 1
                self.changed.notify_all()

    def before_fork(self) -> None:
        """Wait for the transactions of other threads, and let none begin."""
        self.changed.acquire()
        self.changed.wait_for(lambda: self.transactions == 0)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self.changed.release()

    def after_fork_in_child(self) -> None:
        """Close what belongs to the parent: its locks and reader slots are bound to its process id and stay."""
        for opened in self.opened.values():
            opened.environment.close()
        self._forget()


_environments = _Environments()
os.register_at_fork(
    before=_environments.before_fork,
    after_in_parent=_environments.after_fork_in_parent,
    after_in_child=_environments.after_fork_in_child,
)


class CatalogEnvironment:
    """A share in the process's one environment for a directory. Without `create` it has to be there; with `read_only` it is
    not changed, and a process that was stopped inside a change of it is in nobody's way.

    LMDB waits without an end for the process that is changing the catalog, which may have been stopped. So whoever opens it or
    changes it goes through `gate` first, which lets one in at a time and bounds the wait.

    Raises `StoreOpenError`, `DiskFullError`, and what `gate` raises."""

    def __init__(self, directory: Path, *, create: bool, gate: Gate = nullcontext, read_only: bool = False) -> None:
        self._gate = gate
        with gate():
            self._key, (self._environment, self._databases, _) = _environments.share(directory, create, read_only)

    def database(self, name: bytes) -> Any:
        """The handle of a named database, for a transaction on several of them."""
        return self._databases[name]

    @contextmanager
    def transaction(self, database: bytes, *, write: bool = False) -> Iterator[lmdb.Transaction]:
        """A short transaction on a named database; committed, and on disk, on leaving. LMDB's errors become ours."""
        with self._gate() if write else nullcontext(), _environments.transaction():
            try:
                with self._environment.begin(db=self._databases[database], write=write) as transaction:
                    yield transaction
            except (lmdb.DiskError, lmdb.MapFullError) as error:
                raise DiskFullError(f"the catalog cannot grow: {error}") from error
            except lmdb.Error as error:
                raise EventLogError(f"the catalog failed: {error}") from error

    def used(self) -> float:
        """Which part of the catalog's address space is in use, from 0 to 1."""
        info = self._environment.info()
        return float((info["last_pgno"] + 1) * self._environment.stat()["psize"] / info["map_size"])

    def free_dead_readers(self) -> int:
        """Free the places of processes that died while they read; how many there were."""
        return int(self._environment.reader_check())

    def copy_to(self, path: Path) -> None:
        """Write the catalog as it is at one moment to a new file, durably, while others go on changing it.

        LMDB could leave free pages out of a copy, but would number its transactions anew; members of groups are told apart by
        these numbers. Raises `DiskFullError`, `FileExistsError`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with _environments.transaction():
                self._environment.copyfd(descriptor, compact=False)
            os.fsync(descriptor)
        except lmdb.Error as error:
            raise DiskFullError(f"the catalog cannot be copied to {path}: {error}") from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the share back; the last one closes the environment."""
        _environments.give_back(self._key)


class FrozenCatalog(CatalogEnvironment):
    """A catalog that nobody changes, such as a backup's: read without locks, and without writing a byte.

    Raises `StoreOpenError`."""

    def __init__(self, directory: Path) -> None:
        self._environment, self._databases, _ = _open_read_only(directory, lock=False)

    def close(self) -> None:
        """Close the file."""
        self._environment.close()


def _open_read_only(directory: Path, *, lock: bool = True) -> _Opened:
    path = directory / _DATA_FILE
    try:
        environment = lmdb.open(
            str(directory), map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, max_spare_txns=0,
            readonly=True, lock=lock, create=False,
        )  # fmt: skip
    except lmdb.Error as error:
        raise StoreOpenError(f"the catalog {path} cannot be read: {error}") from error
    try:
        _refuse_cut_file(path, environment)
        databases = {name: environment.open_db(name, create=False) for name in _DATABASES}
    except lmdb.Error as error:
        environment.close()
        raise StoreOpenError(f"the catalog {path} cannot be read: {error}") from error
    except BaseException:
        environment.close()
        raise
    return _Opened(environment, databases, True)


def _open(directory: Path, create: bool) -> _Opened:
    path = directory / _DATA_FILE
    # LMDB would begin anew: with topics made again by default settings, retention could delete what was to be kept.
    if not create and (not path.exists() or path.stat().st_size == 0):
        raise StoreOpenError(f"the catalog {path} is missing; restore it from a backup")
    _reserve_lock_file(directory / _LOCK_FILE)
    try:
        if create:
            with _failures_told(path):
                _make_whole(path)
        environment = lmdb.open(
            str(directory), map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, max_spare_txns=0, mode=0o600
        )
    except lmdb.DiskError as error:
        raise DiskFullError(f"no space for the catalog in {directory}: {error}") from error
    except lmdb.Error as error:
        raise StoreOpenError(f"the catalog in {directory} cannot be opened: {error}") from error
    try:
        _refuse_cut_file(path, environment)
        databases = _open_databases(environment)
    except BaseException:
        environment.close()
        raise
    return _Opened(environment, databases, False)


def _make_whole(path: Path) -> None:
    """Let an empty catalog appear at once, unless there is one: what a power cut leaves half made LMDB refuses for good.

    Of those who make the same store at this moment one does it."""
    temporary = path.with_name(f"{path.name}.tmp")
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return
        temporary.unlink(missing_ok=True)
        environment = lmdb.open(
            str(temporary), subdir=False, lock=False, map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, mode=0o600
        )
        try:
            _open_databases(environment)
            environment.sync(True)
        finally:
            environment.close()
        temporary.rename(path)
    finally:
        os.close(descriptor)


def _open_databases(environment: lmdb.Environment) -> dict[bytes, Any]:
    try:
        with environment.begin(write=True) as transaction:
            return {name: environment.open_db(name, txn=transaction) for name in _DATABASES}
    except (lmdb.DiskError, lmdb.MapFullError) as error:
        raise DiskFullError(f"the catalog cannot grow: {error}") from error
    except lmdb.Error as error:
        raise StoreOpenError(f"the catalog cannot be opened: {error}") from error


def _reserve_lock_file(path: Path) -> None:
    """LMDB makes a file with holes and maps it: on a full disk touching a hole would be a SIGBUS."""
    with _failures_told(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < _LOCK_BYTES:
                os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
        finally:
            os.close(descriptor)


@contextmanager
def _failures_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"no space for {path}: {error.strerror}") from error
        raise StoreOpenError(f"{path} cannot be prepared: {error.strerror}") from error


def _refuse_cut_file(path: Path, environment: lmdb.Environment) -> None:
    """Raise `StoreOpenError` if pages are missing: LMDB maps the file, and reading them would be a SIGBUS."""
    pages = max(_META_PAGES, environment.info()["last_pgno"] + 1)
    wanted, found = pages * environment.stat()["psize"], path.stat().st_size
    if found < wanted:
        raise StoreOpenError(f"the catalog {path} is damaged: it has {found} of {wanted} bytes; restore it from a backup")
