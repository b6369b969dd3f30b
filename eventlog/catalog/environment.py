"""The LMDB environment of a store: opened once per process, never used across fork().

Source of the rules: https://lmdb.readthedocs.io, "Environment class" and "Caveats" of lmdb.h.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast, overload

import lmdb

from eventlog.access import make_room_to_map, open_file, refuse_link
from eventlog.catalog.sharing import Environments, Opened, SharedEnvironment, guarded
from eventlog.catalog.values import checked
from eventlog.errors import (
    DiskFullError,
    EventLogError,
    StoreClosedError,
    StoreOpenError,
    is_disk_full,
    os_errors_as,
    translates_os_errors,
)
from eventlog.nesting import Nested

_MAP_BYTES = 2**30  # address space, not disk; doubled until the file fills a quarter of it, and again when it fills half
_DATABASES = (b"topics", b"deleted", b"groups", b"offsets", b"history")
CHANGES = b"changes"  # which earlier versions have not made: it is there where a catalog may be written
PRODUCER_IDS = b"producer_ids"  # likewise, and the next ones
TRANSACTIONS = b"transactions"
CLASSIC = b"classic"
COMMIT_DETAILS = b"commit_details"
USERS = b"users"
SHARE_GROUPS = b"share_groups"
_LATER = (CHANGES, PRODUCER_IDS, TRANSACTIONS, CLASSIC, COMMIT_DETAILS, USERS, SHARE_GROUPS)
_DATABASES_MAX = 16
_READERS_MAX = 1024
_DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"
_LOCK_BYTES = 72 * 1024  # a header, and 64 bytes a reader
_META_PAGES = 2
_ATTEMPTS = 3  # to begin a transaction; between them what is in its way is put right
_FREE_BYTES_MIN = 2**20  # more than a transaction writes at once


def _errors_as(directory: Path, what: str, kind: type[EventLogError] = EventLogError) -> os_errors_as:
    """A block in which an error of LMDB or of the system becomes `DiskFullError` or `kind`: `what` failed in `directory`."""
    return os_errors_as(functools.partial(_translated, directory, what, kind), also=(lmdb.Error,))


def _translated(directory: Path, what: str, kind: type[EventLogError], error: lmdb.Error | OSError) -> EventLogError:
    if isinstance(error, OSError):
        return (DiskFullError if is_disk_full(error.errno) else kind)(f"{what}: {error}")
    if isinstance(error, lmdb.MapFullError):
        return DiskFullError(f"{what}: this process has reached its limit on address space (ulimit -v); nothing was changed")
    return (DiskFullError if _is_full(directory, error) else kind)(f"{what}: {error}")


def _is_full(directory: Path, error: lmdb.Error) -> bool:
    """Is it for want of room that LMDB failed? A quota has no error of its own there, and a write that found room for a part of
    its bytes only is said to be EIO."""
    code = getattr(error, "code", None)
    if isinstance(error, lmdb.DiskError) or is_disk_full(code):
        return True
    try:
        return code == errno.EIO and shutil.disk_usage(directory).free < _FREE_BYTES_MIN
    except OSError:
        return False


_environments = Environments()
os.register_at_fork(
    before=_environments.before_fork,
    after_in_parent=_environments.after_fork_in_parent,
    after_in_child=_environments.after_fork_in_child,
)

Gate = Callable[[], AbstractContextManager[None]]
Made = TypeVar("Made")
Answer = TypeVar("Answer")


class _Handed:
    """A transaction as a block gets it; afterwards it refers to nothing. LMDB's own object keeps the place of a reader, and an
    exception that somebody keeps would keep that, by the frames that it has come through."""

    __slots__ = ("transaction",)

    def __init__(self, transaction: lmdb.Transaction) -> None:
        self.transaction: lmdb.Transaction | None = transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transaction, name)


class _Surroundings:
    """What surrounds a transaction: errors of LMDB become ours, and the last one closes an environment that is no longer used.

    It is left last, when an interrupt leaves nothing behind."""

    def __init__(self, directory: Path, shared: SharedEnvironment, make: Callable[[lmdb.Transaction], Any] | None) -> None:
        self._directory = directory
        self._shared = shared
        self._make = make
        self._handed: _Handed | None = None

    def __enter__(self) -> None:
        """Nothing is held yet."""

    def hand_over(self, transaction: lmdb.Transaction) -> Any:
        """What the block gets."""
        self._handed = handed = _Handed(transaction)
        return handed if self._make is None else self._make(cast(lmdb.Transaction, handed))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._handed is not None:
            self._handed.transaction = None
        self._shared.leave_after_transaction()
        if isinstance(error, lmdb.MapFullError):
            self._shared.has_run_full = True
        if isinstance(error, lmdb.Error):  # what else is done in a transaction has its own errors
            raise _translated(self._directory, "the catalog failed", EventLogError, error) from error


@translates_os_errors()
class CatalogEnvironment:
    """A share in the process's one environment for a directory. Without `create` it must exist; with `read_only` it is
    not changed, and a process that was stopped while changing it blocks nobody.

    LMDB waits without a limit for the process that is changing the catalog, which may have been stopped. So a process that
    opens or changes it passes `gate` first, which lets in one at a time and bounds the wait.

    Raises `StoreOpenError`, `DiskFullError`, and what `gate` raises."""

    def __init__(self, directory: Path, *, create: bool, gate: Gate = nullcontext, read_only: bool = False) -> None:
        self._directory = directory
        self._gate = gate
        self._user = object()
        with gate():
            self._shared = self._share(create, read_only)
        weakref.finalize(self, self._shared.abandon, self._user).atexit = False

    def _share(self, create: bool, read_only: bool) -> SharedEnvironment:
        path = self._directory / _DATA_FILE
        with _errors_as(self._directory, f"the catalog {path} cannot be opened", StoreOpenError):
            # LMDB would start afresh: for topics recreated with default settings, retention could delete what was to be kept.
            if not create and (not path.exists() or path.stat().st_size == 0):
                raise StoreOpenError(f"the catalog {path} is missing; restore it from a backup")
            if create:
                _make_whole(path)
            refuse_link(path)  # which LMDB would follow
            status = path.stat()
            return _environments.share((status.st_dev, status.st_ino), self._user, self._open_anew, read_only=read_only)

    def __repr__(self) -> str:
        return f"<the catalog in {self._directory}>"

    def _opened(self) -> Opened:
        if self._user not in self._shared.users:
            raise StoreClosedError(f"{self!r} is closed")
        return self._shared.current(self._open_anew)

    def _open_anew(self, read_only: bool) -> Opened:
        """By the path of this handle, which may outlive the one that has opened the environment."""
        return _open_read_only(self._directory) if read_only else _open(self._directory)

    def database(self, name: bytes) -> Any:
        """The handle of a named database, for a transaction on several of them."""
        return self._opened().databases[name]

    def has_database(self, name: bytes) -> bool:
        """Is there such a database? Not in a catalog that an earlier version has written, and that is read only here."""
        return name in self._opened().databases

    def content(self, transaction: lmdb.Transaction, name: bytes, key: bytes) -> bytes | None:
        """What is stored under a key of a database with checksums; None if there is no such key, or no such database. Raises
        `EventLogError`."""
        value = transaction.get(key, db=self.database(name)) if self.has_database(name) else None
        return None if value is None else checked(key, bytes(value))

    @overload
    def transaction(self, database: bytes, *, write: bool = False) -> Nested[lmdb.Transaction]: ...

    @overload
    def transaction(
        self, database: bytes, make: Callable[[lmdb.Transaction], Made], *, write: bool = False
    ) -> Nested[Made]: ...

    def transaction(
        self, database: bytes, make: Callable[[lmdb.Transaction], Any] | None = None, *, write: bool = False
    ) -> Nested[Any]:
        """A short transaction on a named database; committed, and on disk, on leaving. LMDB's errors become ours.

        The block gets what `make` makes of it, which raises what keeps the block from beginning."""
        self._prepare(write)
        token = object()
        around = _Surroundings(self._directory, self._shared, make)
        registered = functools.partial(self._shared.registered, token)
        begun = functools.partial(self._attempt, token, functools.partial(self._begin, database, write))
        steps = (lambda: around, self._gate, registered, begun) if write else (lambda: around, registered, begun)
        return Nested(steps, around.hand_over)

    def _prepare(self, write: bool) -> None:
        """What has to be done before a transaction; raises what keeps it from beginning."""

    def _begin(self, database: bytes, write: bool, opened: Opened) -> lmdb.Transaction:
        if write:
            self._shared.tend(opened)
            self._make_room(opened)
            opened = self._opened()
        return opened.environment.begin(db=opened.databases[database], write=write)

    def _make_room(self, opened: Opened) -> None:
        """Map more, long before it is needed: a transaction that finds no room must be given up."""
        info = opened.environment.info()
        used, mapped = (info["last_pgno"] + 1) * opened.page_bytes, info["map_size"]
        if 2 * used > mapped or self._shared.has_run_full:
            self._shared.enlarge(self._open_anew, opened, max(_map_bytes_for(used), 2 * mapped))

    def _attempt(self, token: object, action: Callable[[Opened], Answer]) -> Answer:
        """Do what begins a transaction. What LMDB wants to be done first is done."""
        for _ in range(_ATTEMPTS - 1):
            opened = self._opened()
            opened.show_life()
            try:
                return action(opened)
            except (lmdb.PanicError, lmdb.MapResizedError, lmdb.ReadersFullError) as error:
                if not self._put_right(token, opened, error):
                    raise
        return action(self._opened())

    def _put_right(self, token: object, opened: Opened, error: lmdb.Error) -> bool:
        if isinstance(error, lmdb.ReadersFullError):
            return int(opened.environment.reader_check()) > 0
        self._shared.unregister(token, None)  # two threads would wait for one another
        try:
            # After a panic LMDB could not write which transaction is the last one, undid that, and does nothing more.
            if isinstance(error, lmdb.PanicError):
                return self._shared.renew(self._open_anew, opened)
            return self._shared.follow(self._open_anew, opened)
        finally:
            self._shared.register(token)

    def free_dead_readers(self) -> int:
        """Free the reader slots of processes that died while reading; returns their number."""
        with _errors_as(self._directory, "the catalog failed"), self._shared.registered(object()):
            opened = self._opened()
            opened.show_life()
            return int(opened.environment.reader_check())

    def last_transaction(self) -> int:
        """The number of the last transaction that has changed anything, by any process."""
        with self._shared.registered(object()):
            return int(self._opened().environment.info()["last_txnid"])

    def copy_to(self, path: Path) -> None:
        """Write the catalog as it is at one moment to a new file, durably, while others keep changing it.

        LMDB could leave free pages out of a copy, but would restart the numbering of its transactions, which identifies members
        of groups. Raises `DiskFullError`, `EventLogError`."""
        with _errors_as(path.parent, f"the catalog cannot be copied to {path}"):
            descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                token = object()
                with self._shared.registered(token):
                    self._attempt(token, lambda opened: opened.environment.copyfd(descriptor, compact=False))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Give the share back; the last one closes the environment. A second call does nothing."""
        self._shared.leave(self._user)


class FrozenCatalog(CatalogEnvironment):
    """A catalog that nobody changes, such as a backup's: read without locks, and without writing a byte.

    Raises `StoreOpenError`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._user = object()
        self._shared = SharedEnvironment()
        self._shared.users.add(self._user)
        self._shared.ensure(self._open_anew, read_only=True)

    def _open_anew(self, read_only: bool) -> Opened:
        return _open_read_only(self._directory, lock=False)


def _map_bytes_for(used: int) -> int:
    size = _MAP_BYTES
    while size < 4 * used:
        size *= 2
    return size


def _open_environment(directory: Path, **options: Any) -> lmdb.Environment:
    """With a map that has room to grow, if there is address space for it, or for what there is."""
    open_mapped = functools.partial(
        lmdb.open, os.fspath(directory), max_dbs=_DATABASES_MAX, max_readers=_READERS_MAX, max_spare_txns=0, **options
    )
    try:
        return open_mapped(map_size=_map_bytes_for((directory / _DATA_FILE).stat().st_size))
    except (lmdb.MemoryError, MemoryError):
        return open_mapped(map_size=_MAP_BYTES)


def _open_read_only(directory: Path, *, lock: bool = True) -> Opened:
    path = directory / _DATA_FILE
    with _errors_as(directory, f"the catalog {path} cannot be read", StoreOpenError):
        environment = _open_environment(directory, readonly=True, lock=lock, create=False)
        try:
            _refuse_cut_file(path, environment)
            return guarded(environment, _databases_to_read(environment), True, directory / _LOCK_FILE if lock else None)
        except BaseException:
            environment.close()
            raise


def open_copy(path: Path, descriptor: int) -> Opened:
    """Open a copy of the catalog at `path`, which is in a file of this process alone. Raises `StoreOpenError`."""
    with _errors_as(path.parent, f"the catalog {path} cannot be read", StoreOpenError):
        environment = lmdb.open(
            f"/proc/self/fd/{descriptor}", subdir=False, readonly=True, lock=False, create=False, max_dbs=_DATABASES_MAX,
            max_spare_txns=0, map_size=os.fstat(descriptor).st_size,
        )  # fmt: skip
        try:
            return guarded(environment, _databases_to_read(environment), True, None)
        except BaseException:
            environment.close()
            raise


def catalog_file(directory: Path) -> Path:
    """The file with the content of a catalog."""
    return directory / _DATA_FILE


def _databases_to_read(environment: lmdb.Environment) -> dict[bytes, Any]:
    databases = {name: environment.open_db(name, create=False) for name in _DATABASES}
    for name in _LATER:
        with suppress(lmdb.NotFoundError):
            databases[name] = environment.open_db(name, create=False)
    return databases


def _open(directory: Path) -> Opened:
    path = directory / _DATA_FILE
    with _errors_as(directory, f"the catalog {path} cannot be opened", StoreOpenError):
        _prepare_files(directory)
        environment = _open_environment(directory)
        try:
            _refuse_cut_file(path, environment)
            return guarded(environment, _open_databases(environment), False, directory / _LOCK_FILE)
        except BaseException:
            environment.close()
            raise


def _open_databases(environment: lmdb.Environment) -> dict[bytes, Any]:
    with environment.begin(write=True) as transaction:
        return {name: environment.open_db(name, txn=transaction) for name in (*_DATABASES, *_LATER)}


def _make_whole(path: Path) -> None:
    """Let an empty catalog appear at once, unless there is one: what a power cut, or a full disk, leaves half made LMDB refuses
    for good. Of the processes that create the same store at this moment only one is here: it has passed the gate."""
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
    descriptor = open_file(directory / _LOCK_FILE)
    try:
        make_room_to_map(descriptor, _LOCK_BYTES)
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _refuse_cut_file(path: Path, environment: lmdb.Environment) -> None:
    """Raise `StoreOpenError` if pages are missing: LMDB maps the file, and reading them would be a SIGBUS."""
    pages = max(_META_PAGES, environment.info()["last_pgno"] + 1)
    wanted, found = pages * environment.stat()["psize"], path.stat().st_size
    if found < wanted:
        raise StoreOpenError(f"the catalog {path} is damaged: it has {found} of {wanted} bytes; restore it from a backup")
