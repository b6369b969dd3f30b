"""Who may access a store's files: their modes, their owner, and no symbolic links that lead out of the store.

A store is created with mode 0700 less the umask. Files and directories created in it later take the mode of their parent
directory, whatever the umask is then, as in SQLite. So a `chmod` of a store and everything in it lets a group share it, and a
stricter mode is preserved.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError, InvalidArgumentError, InvalidTypeError, StoreOpenError

PRIVATE_MODE = 0o700

_FILE_BITS = 0o666
_ALL_BITS = 0o777
_OF_GROUP, _OF_OTHERS = 0o070, 0o007


def as_path(name: str, path: object) -> Path:
    """The argument `name` of a caller as an absolute path; a leading ~ is the user's home directory.

    Raises `InvalidTypeError`, `InvalidArgumentError`."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidTypeError(f"{name} must be a str or a path, not {type(path).__name__}")
    try:
        text = os.fspath(path)
    except TypeError as error:
        raise InvalidTypeError(f"{name} cannot be converted to a path: {error}") from error
    if not isinstance(text, str):
        raise InvalidTypeError(f"{name} is a path of type {type(text).__name__}: convert it to str with os.fsdecode")
    try:
        if text == "" or b"\0" in os.fsencode(text):
            raise InvalidArgumentError(f"{name} is {text!r}, which does not name a directory")
        return (Path(text).expanduser() if text == "~" or text.startswith("~/") else Path(text)).absolute()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{name} is {text!r}, which is not a valid path: {error.reason}") from error
    except OSError as error:
        raise InvalidArgumentError(f"{name} is relative, but the working directory is gone: give an absolute path") from error


def open_file(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Like `open_file_into`, but returns a descriptor, for callers that accept that an interrupt may leak it."""
    file = new_file()
    try:
        open_file_into(file, path, flags)
        return int(lib.el_file_take(file))
    finally:
        lib.el_file_close(file)


def new_file() -> Any:
    """A cell for a file, as in `native/store/file.h`: no file is open yet. Freeing the cell closes its file."""
    return ffi.gc(ffi.new("int *", -1), lib.el_file_close)


def open_file_into(file: Any, path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> None:
    """Open a file of a store for reading and writing, into a cell; a new file takes the mode of its directory.

    A symbolic link is not followed, but raises `EventLogError`. Raises `OSError`."""
    flags |= os.O_NOFOLLOW
    while True:
        if not flags & os.O_EXCL:
            try:
                return open_existing_into(file, path, flags & ~os.O_CREAT)
            except FileNotFoundError:
                if not flags & os.O_CREAT:
                    raise
            except OSError as error:
                if error.errno == errno.ELOOP:
                    refuse_link(path)
                raise
        try:
            return _create(file, path, flags | os.O_EXCL)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise  # otherwise another process was faster: open its file


def open_existing_into(file: Any, path: Path | str, flags: int, mode: int = 0, *, directory: int | None = None) -> None:
    """Open an existing file or directory into a cell; a relative path starts in `directory`. Raises `OSError`."""
    begins_at = lib.EL_WORKING_DIRECTORY if directory is None else directory
    while True:
        failure = lib.el_file_open(begins_at, os.fsencode(path), flags | os.O_CLOEXEC, mode, file)
        if failure == 0:
            return
        if failure != errno.EINTR:  # otherwise the signal handler has run: retry
            raise OSError(failure, os.strerror(failure), str(path))


def _create(file: Any, path: Path, flags: int) -> None:
    mode = stat.S_IMODE(path.parent.stat().st_mode) & _FILE_BITS
    open_existing_into(file, path, flags, mode)
    try:
        if stat.S_IMODE(os.fstat(file[0]).st_mode) != mode:
            os.fchmod(file[0], mode)  # the umask removed bits that the directory allows
    except BaseException:
        lib.el_file_close(file)
        raise


def make_directory_in_store(directory: Path) -> None:
    """Create a directory with the mode of its parent directory. Raises `FileExistsError`, `OSError`."""
    mode = stat.S_IMODE(directory.parent.stat().st_mode) & _ALL_BITS
    directory.mkdir(mode=mode)
    made = stat.S_IMODE(directory.stat().st_mode)
    if made & _ALL_BITS != mode:
        directory.chmod(made & ~_ALL_BITS | mode)  # including the bit that makes files inherit the group, if it is set


def refuse_link(path: Path) -> None:
    """Raise `EventLogError` if this path, which belongs to a store, is a symbolic link."""
    if path.is_symlink():
        raise EventLogError(f"{path} is a symbolic link; a store must not contain any, because they lead out of it")


def refuse_strangers_store(path: Path) -> None:
    """Raise `StoreOpenError` if a directory belongs to another user and its mode does not share it with this user.

    Root is refused, too: the owner of a private store could not open the files that root creates in it."""
    status = path.stat()
    user = os.geteuid()
    if status.st_uid == user:
        return
    groups = {os.getegid(), *os.getgroups()}
    by_group = status.st_mode & _OF_GROUP == _OF_GROUP and status.st_gid in groups
    if not by_group and status.st_mode & _OF_OTHERS != _OF_OTHERS:
        raise StoreOpenError(
            f"{path} belongs to user {status.st_uid}, and this process runs as user {user}: run it as that user, or "
            "share the store with a group that both belong to (docs/guarantees.md, Access)"
        )


def memory_file(name: str, length: int) -> int:
    """The descriptor of a new file of zeros in memory, which vanishes with its last user. Raises `OSError`."""
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, length)
    return descriptor


def make_room_to_map(descriptor: int, length: int) -> None:
    """Make a file at least that long, with disk space of its own. If a store into its map needed a new block, because of a
    hole or because a copy of the file shares the block, a full disk would cause a SIGBUS. Raises `OSError`."""
    error = lib.el_make_room_to_map(descriptor, length)
    if error:
        raise OSError(error, os.strerror(error))
