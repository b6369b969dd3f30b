"""The directory of a store: creating it as private, checking it before anything is changed, and finding partitions in it."""

from __future__ import annotations

import functools
import json
import os
import stat
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog._native import lib
from eventlog.access import new_file, open_existing_into, refuse_link, refuse_strangers_store
from eventlog.anchored import anchored, plain, release
from eventlog.errors import DiskFullError, EventLogError, StoreOpenError, StoreReplacedError, is_disk_full, os_errors_as
from eventlog.storage.segments import files, names, users
from eventlog.storage.segments.file_locks import attempts

FORMAT_VERSION = 1

_DYING_MS = 500  # for how long openers try to replace one that died while it was alone

_UNSTEADY = "overlay"  # a file system whose inode numbers may change

_NO_STORE = "there is no store in {}"
_IS_FILE = "{} is a file, but a store is a directory"

_READ_WRITE = os.R_OK | os.W_OK | os.X_OK


class OpenDirectory:
    """The directory of a store, held open. `path` leads to it while it is open, whatever happens to its name."""

    is_new = False
    """Must `complete_store` finish the store?"""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = new_file()
        self._identities: dict[Path, tuple[int, int] | None] = {}
        _open_directories.add(self)
        try:
            with os_errors_of_opening(path):
                self._hold(self._file, path)
                self.path = anchored(path, self._file[0])
                self._join()
                self._are_identities_lasting = files.file_system_type(self.path) != _UNSTEADY
        except BaseException:
            self.close()
            raise

    def _hold(self, file: Any, path: Path) -> None:
        """Open the directory into a cell. Raises `StoreOpenError`, `OSError`."""
        raise NotImplementedError

    def _join(self) -> None:
        """Check that it is a store, and become one of its users. Raises `EventLogError`, `OSError`."""
        raise NotImplementedError

    @property
    def descriptor(self) -> int:
        """The descriptor of the open directory; -1 once it is closed."""
        return int(self._file[0])

    def settle(self) -> None:
        """Record the files of a store in use, all of which now exist: `check` notices what happens to them later."""
        self._identities = {path: _identity(path) for path in _what_stays(self.path)}

    def check(self) -> None:
        """Raise `StoreReplacedError` if the store was deleted, in whole or in part, or another store is at its path.

        A store that was moved away, so that nothing is at its path, is still the same. A check that fails proves nothing."""
        path = plain(self.path)
        with suppress(OSError):
            if _identity(path) not in (None, _identity(self.path)):
                raise StoreReplacedError(
                    f"{path} leads to a different directory than when the store was opened: close this handle and open the "
                    "store again"
                )
        for each, identity in self._identities.items():
            with suppress(OSError):
                found = _identity(each)
                if found is None or (found != identity and self._are_identities_lasting):
                    raise StoreReplacedError.of_part(each)

    def close(self) -> None:
        """Release the lock."""
        release(self.path)
        lib.el_file_unlock(self._file)

    def leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's, and ends with it."""
        release(self.path)
        lib.el_file_close(self._file)


class StoreDirectory(OpenDirectory):
    """The directory of a store, created if it does not exist, and held open with the lock that all users of the store share.

    Raises `StoreOpenError`, also if others use the store from another namespace, `DiskFullError` and `LockTimeoutError`; then
    nothing was changed."""

    def __init__(self, path: Path, *, create: bool, lock_timeout_ms: int) -> None:
        self._create = create
        self._lock_timeout_ms = lock_timeout_ms
        super().__init__(path)

    def _hold(self, file: Any, path: Path) -> None:
        _open_into(file, path, self._create)

    def _join(self) -> None:
        files.refuse_network_file_system(self.path)
        self.is_new = not _is_store(self.path, self._create)
        origin = users.own_origin()
        self._enter(origin)
        for _ in attempts(_DYING_MS):
            if users.is_noted(self.path):
                break
            # The process that was alone may have died before it had made the note: then somebody has to be alone again.
            users.leave(self._file[0])
            self._enter(origin)
        users.check_origin(self.path, self._file[0], origin)
        _check_directories(self.path)

    def _enter(self, origin: users.Origin) -> None:
        if users.try_alone(self._file[0]):
            _make_directories(self.path, is_new=self.is_new)
            _check_directories(self.path)
            users.note_origin(self.path, origin)
        # The kernel releases the exclusive lock before it takes the shared one: another process may have been alone meanwhile.
        users.share(self.path, self._file[0], self._lock_timeout_ms)


class ReadOnlyDirectory(OpenDirectory):
    """The directory of a store that is only read: without a lock, on any file system, whoever owns it.

    Raises `StoreOpenError`."""

    def _hold(self, file: Any, path: Path) -> None:
        mode = files.mode_of(path)
        if mode is None or not stat.S_ISDIR(mode):
            raise StoreOpenError(_NO_STORE.format(path) if mode is None else _IS_FILE.format(path))
        open_existing_into(file, path, os.O_RDONLY | os.O_DIRECTORY)

    def _join(self) -> None:
        _is_store(self.path, False)
        for directory in (names.logs_directory(self.path), names.catalog_directory(self.path)):
            refuse_link(directory)

    def settle(self) -> None:
        """Record the files that are read; a copy need not have those that processes at work share."""
        read = names.logs_directory(self.path), names.catalog_directory(self.path) / names.CATALOG_FILE
        self._identities = {path: _identity(path) for path in read}


_open_directories: weakref.WeakSet[OpenDirectory] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for directory in list(_open_directories):
        directory.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None if the path does not exist. Raises `OSError` if the check fails."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _what_stays(store: Path) -> tuple[Path, ...]:
    """The files that must stay while a store is open. They are open or mapped, so no other file can get their inodes."""
    catalog = names.catalog_directory(store)
    return (
        names.logs_directory(store),
        names.signals_file(store),
        names.catalog_gate_file(store),
        catalog / names.CATALOG_FILE,
        catalog / names.CATALOG_LOCK_FILE,
    )


def _open_into(file: Any, path: Path, create: bool) -> None:
    """Open the directory, which is made if it is missing."""
    mode = files.mode_of(path)  # once: another process may create the store between two checks
    if mode is not None and stat.S_ISDIR(mode):
        refuse_strangers_store(path)
    elif mode is not None:
        raise StoreOpenError(_IS_FILE.format(path))
    elif not create:
        raise StoreOpenError(_NO_STORE.format(path))
    else:
        _make_store_directory(path)
    open_existing_into(file, path, os.O_RDONLY | os.O_DIRECTORY)


def _make_store_directory(path: Path) -> None:
    if path.is_symlink():
        raise StoreOpenError(f"{path} is a dangling symbolic link: create the directory that it names, or remove the link")
    if not (above := next(each for each in path.parents if files.is_there(each))).is_dir():
        raise StoreOpenError(f"{above} is a file, but the parents of a store must be directories")
    files.make_private_directory(path)


def _directories(path: Path) -> tuple[Path, ...]:
    return names.logs_directory(path), names.shared_directory(path), names.catalog_directory(path)


def _make_directories(path: Path, *, is_new: bool) -> None:
    """Create the directories of a new store; of an existing one, only the directory that holds no truth and may be deleted."""
    for directory in _directories(path) if is_new else (names.shared_directory(path),):
        if is_new or not files.is_there(directory):
            files.make_directory(directory)


def _check_directories(path: Path) -> None:
    for directory in _directories(path):
        refuse_link(directory)
    for directory in (path, *_directories(path)):
        if not os.access(directory, _READ_WRITE):
            raise StoreOpenError(f"{directory} is not readable and writable for this user (id {os.getuid()})")


def complete_store(path: Path) -> None:
    """Write the file that makes a directory a store, once everything else exists; two concurrent creators write the same."""
    content = {"format": "eventlog", "version": FORMAT_VERSION}
    with os_errors_of_opening(path):
        files.sync_directory(names.catalog_directory(path))
        files.replace_file(names.format_file(path), [(json.dumps(content) + "\n").encode()])


def os_errors_of_opening(path: Path) -> os_errors_as:
    """A block that opens the store at `path`: an `OSError` becomes `DiskFullError` or `StoreOpenError`."""
    return os_errors_as(functools.partial(_open_error, path))


def _open_error(path: Path, error: OSError) -> EventLogError:
    if is_disk_full(error.errno):
        return DiskFullError(f"no space for a store in {path}: {error.strerror}")
    where = f"{error.filename}: " if error.filename and str(error.filename) != str(path) else ""
    return StoreOpenError(f"{path} cannot be opened as a store: {where}{error.strerror}")


def _is_store(path: Path, create: bool) -> bool:
    """Is a directory a store? False if one may be created in it. Raises `StoreOpenError` for any other directory."""
    if files.is_there(names.manifest_file(path)):
        raise StoreOpenError(f"{path} is a backup: 'eventlog restore' creates a store from it, in another directory")
    if files.is_there(names.restoring_marker(path)):
        raise StoreOpenError(
            f"{path} is either being restored, or its restore was interrupted; if so, delete it and restore again"
        )
    format_file = names.format_file(path)
    if not files.is_there(format_file):
        if not create:
            raise StoreOpenError(_NO_STORE.format(path))
        found = os.listdir(path)
        if format_file.name not in found:  # else another process has completed the store just now
            if not all(map(_may_stand_in_a_new_store, found)):
                raise StoreOpenError(f"{path} contains other files and is not a store; choose a new or empty directory")
            return False
    _check_version(path)
    return True


def _may_stand_in_a_new_store(name: str) -> bool:
    # Another process may be creating the store right now, or may have died before it renamed the last file.
    is_temporary = name.startswith(names.format_file(Path()).name) and name.endswith(".tmp")
    return is_temporary or name in ("logs", "shared", "meta", "lost+found")


def _check_version(path: Path) -> None:
    file = names.format_file(path)
    try:
        content = json.loads(file.read_bytes())
        is_ours = content["format"] == "eventlog"
        version = content["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
        version = None
    if not is_ours or type(version) is not int or version < 1:
        raise StoreOpenError(f"{file} is damaged: it does not name the store's format")
    if version > FORMAT_VERSION:
        raise StoreOpenError(
            f"{path} was written in format {version} by a newer eventlog; this one knows {FORMAT_VERSION}: upgrade it"
        )


def existing_partitions(path: Path) -> dict[str, int]:
    """The number of partitions of each topic, according to the directories in logs/."""
    counts: dict[str, int] = {}
    for name in os.listdir(names.logs_directory(path)):
        parsed = names.parse_partition_directory(name)
        if parsed is not None and not (names.logs_directory(path) / name).is_symlink():
            topic, partition = parsed
            counts[topic] = max(counts.get(topic, 0), partition + 1)
    return counts
