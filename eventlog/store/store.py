"""An open store: the state that everything built on it shares."""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from eventlog.errors import EventLogError, ForkedProcessError, ReadOnlyStoreError, StoreClosedError, StoreReplacedError
from eventlog.holding import check_no_block_interrupted
from eventlog.logs import logger
from eventlog.options import StoreOptions
from eventlog.storage.partition.flusher import Flusher
from eventlog.storage.partition.log import PartitionLog
from eventlog.store.announcer import Announcer
from eventlog.store.closing import Closing, Dependent, Step, do_steps
from eventlog.store.foundation import open_to_read, open_to_write
from eventlog.store.partitions import Partitions
from eventlog.waiting import Flag

_log = logger("store")

_open_stores: weakref.WeakSet[Store] = weakref.WeakSet()


class Store:
    """The directory of a store, opened.

    `catalog` contains its topics and groups, and `announcer` announces changes to other processes. `partitions` are those in
    use here, `signals` the bells by which processes wake one another. `closing` is a flag that is raised when a close begins.

    `path` leads to the directory while it is open, even if it is renamed. Safe for several threads; not to be used across
    fork(). Raises `StoreOpenError`, `DiskFullError`, `LockTimeoutError`, and then leaves nothing open."""

    def __init__(self, path: Path, options: StoreOptions, *, create: bool) -> None:
        self.path = path
        self.options = options
        self._process_id = os.getpid()
        self._is_open = False
        self._is_closing = False
        self._is_closed = False
        self._replaced: StoreReplacedError | None = None
        self._dependents: list[Dependent] = []
        self._closing = Closing(self._check_may_close, self._closing_steps)
        try:
            with ExitStack() as opened:  # closed again unless everything succeeds
                self._open(opened, create)
                self._is_open = True
                opened.pop_all()
        except BaseException:
            if self._is_open:
                self.abandon()
            raise
        _open_stores.add(self)

    def _open(self, opened: ExitStack, create: bool) -> None:
        options = self.options
        is_read_only = options.is_read_only
        found = open_to_read(self.path) if is_read_only else open_to_write(self.path, options, create=create)
        for step in reversed(found.closing_steps):
            opened.callback(step)
        self._foundation = found
        self.path, self.claims, self.signals, self.catalog = found.directory.path, found.claims, found.signals, found.catalog
        self.closing = Flag(self.signals)
        self.announcer = Announcer(self.catalog, self.signals)
        self.partitions = Partitions(
            found.directory, self.claims, self.catalog.topics, self.signals, options, self.check_open
        )  # fmt: skip
        flushes = options.fsync == "interval" and not is_read_only
        self._flusher = Flusher(_partitions_in_use(weakref.ref(self)), found.interval_ms, flushes=flushes)
        self._flusher.start()
        _log.info("%r: opened with fsync=%s%s", self, options.fsync, ", read-only" if is_read_only else "")

    def __repr__(self) -> str:
        return f"<EventLog {self.path}>"  # the name that its users see

    @property
    def is_closed(self) -> bool:
        """Was the store closed? Then no part of it can be used any more."""
        return self._is_closed

    def check_open(self) -> None:
        """Raise `StoreClosedError`, `StoreReplacedError` or `ForkedProcessError` if the store cannot be used."""
        if os.getpid() != self._process_id:
            raise ForkedProcessError(f"{self!r} was opened before fork(): open the store again in the child")
        if self._is_closed:
            raise StoreClosedError(f"{self!r} is closed")
        if self._replaced is not None:
            raise StoreReplacedError(*self._replaced.args)

    def check_writable(self) -> None:
        """As `check_open`, but also raise `ReadOnlyStoreError` if the store is open to read only."""
        self.check_open()
        if self.options.is_read_only:
            raise ReadOnlyStoreError(f'{self!r} is open to read only: open it without mode="r" to change it')

    def check_usable(self) -> None:
        """As `check_open`, but also raise `StoreClosedError` once a close has begun: for longer use of the store."""
        self.check_open()
        if self._is_closing:
            raise StoreClosedError(f"{self!r} is being closed")

    def check_not_replaced(self) -> None:
        """Refuse all use from now on if the store was deleted, or is not the one at its path any more."""
        try:
            if self._replaced is None:
                self._foundation.directory.check()
                self.partitions.check_not_replaced()
                for dependent in self._dependents:
                    dependent.check_not_replaced()
        except StoreReplacedError as error:
            self._replaced = error
            _log.error("%r: refuses all use from now on: %s", self, error)
        if self._replaced is not None:
            self.partitions.give_up(self._replaced)

    # --- closing -------------------------------------------------------------------------------------------

    def close_first(self, dependent: Dependent) -> None:
        """When the store is closed, close this object before it, and before the objects that were registered earlier."""
        self._dependents.append(dependent)

    def close(self) -> None:
        """Close what is built on the store, flush, and close everything, as `Closing.close` describes.

        Raises `ConcurrentUseError`, and closes nothing, if a signal handler calls it in the middle of work that holds a
        lock."""
        was_closed = self._is_closed
        self._closing.close()
        if not was_closed:
            _log.info("%r: closed", self)

    def abandon(self) -> None:
        """Close a store that was never put into use."""
        do_steps(self._own_closing_steps())

    def _check_may_close(self) -> None:
        self.partitions.check_may_close()
        check_no_block_interrupted(f"to close {self!r}")
        for dependent in self._dependents:
            dependent.check_may_close()

    def _closing_steps(self) -> list[Step]:
        self._is_closing = True
        self.closing.raise_()
        before = [step for dependent in reversed(self._dependents) for step in dependent.closing_steps()]
        return [*before, *self._own_closing_steps()]

    def _own_closing_steps(self) -> list[Step]:
        return [self._refuse_use, self._flusher.stop, self.partitions.close_all, *self._foundation.closing_steps]

    def _refuse_use(self) -> None:
        self._is_closed = True

    def __del__(self) -> None:
        """Nothing refers to the store any more, and it was not closed: treat it as if its process had died, which is safe."""
        if self._is_open and not self._is_closed and self.is_of_this_process:
            self._flusher.end()
            what = f"unclosed {self!r}: nobody refers to it any more; close it, so that its segments end cleanly"
            warnings.warn(what, ResourceWarning, stacklevel=1, source=self)

    @property
    def is_of_this_process(self) -> bool:
        """Was it opened by this process, and not by the parent that forked it?"""
        return os.getpid() == self._process_id


def _partitions_in_use(store: weakref.ref[Store]) -> Callable[[], list[PartitionLog] | None]:
    """The partitions that the flusher goes through; None once nothing refers to the store, though it was not closed."""

    def in_use() -> list[PartitionLog] | None:
        found = store()
        if found is None:
            return None
        found.check_not_replaced()
        with suppress(EventLogError, OSError, MemoryError):  # flushing is more urgent, and the next round retries
            found.announcer.announce_missed()
        return [partition.log for partition in found.partitions.in_use()]

    return in_use


@atexit.register
def _close_all() -> None:
    """Close stores that were never closed at exit, so that their segments end cleanly; a `ResourceWarning` says so."""
    for store in list(_open_stores):
        if not store.is_closed and store.is_of_this_process:
            warnings.warn(f"unclosed {store!r}: it is closed as the program ends", ResourceWarning, stacklevel=1, source=store)
        store.close()
