"""The LMDB environment of a store: opened once per process, never used across fork().

Source of the rules: https://lmdb.readthedocs.io, "Environment class" and "Caveats" of lmdb.h.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from eventlog.access import open_file, refuse_link
from eventlog.errors import (
    DiskFullError,
    EventLogError,
    StoreClosedError,
    StoreOpenError,
    failure_of,
    is_disk_full,
    tells_failures,
)

_MAP_BYTES = 2**30  # address space, not disk
_DATABASES = (b"topics", b"deleted", b"groups", b"offsets", b"history")
_DATABASES_MAX = 16
_READERS_MAX = 1024
_DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"
_LOCK_BYTES = 72 * 1024  # a header, and 64 bytes a reader
_META_PAGES = 2
_OTHERS_SECONDS_MAX = 10.0  # as long as others wait for a lock
_LOOK_SECONDS = 0.1  # a thread that was interrupted may have told nobody that its transaction ended
_FREE_BYTES_MIN = 2**20  # more than a transaction writes at once


@contextmanager
def _lmdb_failures_told(directory: Path, what: str, kind: type[EventLogError] = EventLogError) -> Iterator[None]:
    """Let an error of LMDB become `DiskFullError` or `kind`, with what could not be done in `directory`."""
    try:
        yield
    except lmdb.Error as error:
        raise (DiskFullError if _is_full(directory, error) else kind)(f"{what}: {error}") from error


@contextmanager
def _failures_told(directory: Path, what: str, kind: type[EventLogError] = EventLogError) -> Iterator[None]:
    """The same, and for an error of the system, too."""
    try:
        with _lmdb_failures_told(directory, what, kind):
            yield
    except OSError as error:
        if is_disk_full(error.errno):
            raise failure_of(what, error) from error
        raise kind(f"{what}: {error}") from error


def _is_full(directory: Path, error: lmdb.Error) -> bool:
    """Is it for want of room that LMDB failed? A quota has no error of its own there, and a write that found room for a part of
    its bytes only is said to be EIO."""
    code = getattr(error, "code", None)
    if isinstance(error, (lmdb.DiskError, lmdb.MapFullError)) or is_disk_full(code):
        return True
    try:
        return code == errno.EIO and shutil.disk_usage(directory).free < _FREE_BYTES_MIN
    except OSError:
        return False


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
        # A condition by itself is given back in Python, where a signal's handler may raise before that is done.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.users: dict[tuple[int, int], int] = {}
        self.opened: dict[tuple[int, int], _Opened] = {}
        self.transactions: set[object] = set()  # that are under way
        self.renewing = 0

    def share(self, directory: Path, create: bool, read_only: bool) -> tuple[int, int]:
        """Open the environment of a directory, or take part in the one that is open; who writes waits for who only reads."""
        with _failures_told(directory, f"the catalog in {directory} cannot be opened", StoreOpenError):
            status = directory.stat()
        key = status.st_dev, status.st_ino
        with self.lock:
            self.changed.wait_for(lambda: read_only or key not in self.opened or not self.opened[key].is_read_only)
            if key not in self.opened:
                self.opened[key] = _open_read_only(directory) if read_only else _open(directory, create)
            self.users[key] = self.users.get(key, 0) + 1
            return key

    def current(self, key: tuple[int, int], directory: Path) -> _Opened | None:
        """The environment as it is open now; None if it was closed. One that could not be opened anew is tried once more."""
        opened = self.opened.get(key)
        if opened is None:
            with self.lock:
                if key in self.users and key not in self.opened:
                    self.opened[key] = _open(directory, create=False)
                opened = self.opened.get(key)
        return opened

    def renew(self, key: tuple[int, int], directory: Path, failed: _Opened) -> bool:
        """Open an environment anew that does nothing more since a write has failed; another thread may have done so already.

        The caller has begun a transaction that LMDB refused, and waits for those of others, unless they wait here, too: LMDB
        may not close what is in use. False tells that one did not end in time."""
        with self.lock:
            self.renewing += 1
            try:
                if not self.changed.wait_for(lambda: self._is_renewable(key, failed), _OTHERS_SECONDS_MAX):
                    return False
                if self.opened.get(key) is failed:
                    failed.environment.close()
                    del self.opened[key]
                    self.opened[key] = _open(directory, create=False)
                return True
            finally:
                self.renewing -= 1
                self.changed.notify_all()

    def _is_renewable(self, key: tuple[int, int], failed: _Opened) -> bool:
        return self.opened.get(key) is not failed or len(self.transactions) == self.renewing

    def give_back(self, key: tuple[int, int]) -> None:
        """Close the environment if this was its last user."""
        with self.lock:
            self.users[key] -= 1
            if self.users[key] == 0:
                del self.users[key]
                if key in self.opened:  # else it could not be opened anew
                    self.opened.pop(key).environment.close()
                self.changed.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep fork() away."""
        transaction = object()
        try:
            with self.lock:
                self.transactions.add(transaction)
            yield
        finally:
            self.transactions.discard(transaction)  # first of all, whatever interrupts the rest
            with self.lock:
                self.changed.notify_all()

    def before_fork(self) -> None:
        """Wait for the transactions of other threads, and let none begin."""
        self.lock.acquire()
        while self.transactions:
            self.changed.wait(_LOOK_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self.lock.release()

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


@tells_failures()
class CatalogEnvironment:
    """A share in the process's one environment for a directory. Without `create` it has to be there; with `read_only` it is
    not changed, and a process that was stopped inside a change of it is in nobody's way.

    LMDB waits without an end for the process that is changing the catalog, which may have been stopped. So whoever opens it or
    changes it goes through `gate` first, which lets one in at a time and bounds the wait.

    Raises `StoreOpenError`, `DiskFullError`, and what `gate` raises."""

    def __init__(self, directory: Path, *, create: bool, gate: Gate = nullcontext, read_only: bool = False) -> None:
        self._directory = directory
        self._gate = gate
        with gate():
            self._key = _environments.share(directory, create, read_only)

    def __repr__(self) -> str:
        return f"<the catalog in {self._directory}>"

    def _opened(self) -> _Opened:
        opened = _environments.current(self._key, self._directory)
        if opened is None:
            raise StoreClosedError(f"{self!r} is closed")
        return opened

    def database(self, name: bytes) -> Any:
        """The handle of a named database, for a transaction on several of them."""
        return self._opened().databases[name]

    @contextmanager
    def transaction(self, database: bytes, *, write: bool = False) -> Iterator[lmdb.Transaction]:
        """A short transaction on a named database; committed, and on disk, on leaving. LMDB's errors become ours."""
        told = _lmdb_failures_told(self._directory, "the catalog failed")  # what else is done in it has its own errors
        gate = self._gate() if write else nullcontext()
        with gate, _environments.transaction(), told, self._begin(database, write) as transaction:
            yield transaction

    def _begin(self, database: bytes, write: bool) -> lmdb.Transaction:
        opened = self._opened()
        try:
            return opened.environment.begin(db=opened.databases[database], write=write)
        except lmdb.PanicError:
            # LMDB could not write which transaction is the last one, undid that, and does nothing more in this environment.
            if not _environments.renew(self._key, self._directory, opened):
                raise
        opened = self._opened()
        return opened.environment.begin(db=opened.databases[database], write=write)

    def used(self) -> float:
        """Which part of the catalog's address space is in use, from 0 to 1."""
        with _failures_told(self._directory, "the catalog failed"):
            environment = self._opened().environment
            info = environment.info()
            return float((info["last_pgno"] + 1) * environment.stat()["psize"] / info["map_size"])

    def free_dead_readers(self) -> int:
        """Free the places of processes that died while they read; how many there were."""
        with _failures_told(self._directory, "the catalog failed"):
            return int(self._opened().environment.reader_check())

    def copy_to(self, path: Path) -> None:
        """Write the catalog as it is at one moment to a new file, durably, while others go on changing it.

        LMDB could leave free pages out of a copy, but would number its transactions anew; members of groups are told apart by
        these numbers. Raises `DiskFullError`, `EventLogError`."""
        with _failures_told(path.parent, f"the catalog cannot be copied to {path}"):
            descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                with _environments.transaction():
                    self._opened().environment.copyfd(descriptor, compact=False)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Give the share back; the last one closes the environment."""
        _environments.give_back(self._key)


class FrozenCatalog(CatalogEnvironment):
    """A catalog that nobody changes, such as a backup's: read without locks, and without writing a byte.

    Raises `StoreOpenError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._frozen = _open_read_only(directory, lock=False)

    def _opened(self) -> _Opened:
        return self._frozen

    def close(self) -> None:
        """Close the file."""
        self._frozen.environment.close()


def _open_read_only(directory: Path, *, lock: bool = True) -> _Opened:
    path = directory / _DATA_FILE
    with _failures_told(directory, f"the catalog {path} cannot be read", StoreOpenError):
        environment = lmdb.open(
            os.fspath(directory), map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, max_spare_txns=0,
            readonly=True, lock=lock, create=False,
        )  # fmt: skip
        try:
            _refuse_cut_file(path, environment)
            databases = {name: environment.open_db(name, create=False) for name in _DATABASES}
        except BaseException:
            environment.close()
            raise
        return _Opened(environment, databases, True)


def _open(directory: Path, create: bool) -> _Opened:
    path = directory / _DATA_FILE
    with _failures_told(directory, f"the catalog {path} cannot be opened", StoreOpenError):
        # LMDB would begin anew: with topics made again by default settings, retention could delete what was to be kept.
        if not create and (not path.exists() or path.stat().st_size == 0):
            raise StoreOpenError(f"the catalog {path} is missing; restore it from a backup")
        if create:
            _make_whole(path)
        _prepare_files(directory)
        environment = lmdb.open(
            os.fspath(directory), map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, max_spare_txns=0
        )
        try:
            _refuse_cut_file(path, environment)
            databases = _open_databases(environment)
        except BaseException:
            environment.close()
            raise
        return _Opened(environment, databases, False)


def _open_databases(environment: lmdb.Environment) -> dict[bytes, Any]:
    with environment.begin(write=True) as transaction:
        return {name: environment.open_db(name, txn=transaction) for name in _DATABASES}


def _make_whole(path: Path) -> None:
    """Let an empty catalog appear at once, unless there is one: what a power cut, or a full disk, leaves half made LMDB refuses
    for good. Of those who make the same store at this moment one is here: it has passed the gate."""
    if path.exists():
        return
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    os.close(open_file(temporary))  # with the mode of a store's files
    environment = lmdb.open(os.fspath(temporary), subdir=False, lock=False, map_size=_MAP_BYTES, max_dbs=_DATABASES_MAX)
    try:
        _open_databases(environment)
        environment.sync(True)
    finally:
        environment.close()
    temporary.rename(path)


def _prepare_files(directory: Path) -> None:
    """LMDB makes a lock file with holes and maps it: on a full disk touching a hole would be a SIGBUS. And it follows links."""
    refuse_link(directory / _DATA_FILE)
    descriptor = open_file(directory / _LOCK_FILE)
    try:
        if os.fstat(descriptor).st_size < _LOCK_BYTES:
            os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _refuse_cut_file(path: Path, environment: lmdb.Environment) -> None:
    """Raise `StoreOpenError` if pages are missing: LMDB maps the file, and reading them would be a SIGBUS."""
    pages = max(_META_PAGES, environment.info()["last_pgno"] + 1)
    wanted, found = pages * environment.stat()["psize"], path.stat().st_size
    if found < wanted:
        raise StoreOpenError(f"the catalog {path} is damaged: it has {found} of {wanted} bytes; restore it from a backup")
