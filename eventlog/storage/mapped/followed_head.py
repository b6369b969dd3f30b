"""The head of a partition in a process that changes nothing: a page of its own, which follows the one that others share.

What waits, locks and reads works on the own page as on the shared one. That is mapped to be read only, and not at all if nobody
has opened the partition in this boot, as in a copy: then the page says what the files contain.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.access import memory_file, new_file
from eventlog.storage.mapped.foreign_heads import trusted_head
from eventlog.storage.mapped.head_checks import has_its_segments
from eventlog.storage.mapped.poison import DELETED, READ_ONLY
from eventlog.storage.segments import names
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.headers import new_tail
from eventlog.storage.segments.recovery import Recovered, RecoveryReport
from eventlog.waiting import Signals

_SEARCH_SECONDS = 1.0


class FollowedHead:
    """`pointer` is a native `el_head`, brought up to date whenever it is asked for; None once it is closed.

    `inspect` says what the files of the partition contain. It is called if there is no page to follow."""

    def __init__(
        self, store: Path, topic: str, partition: int, signals: Signals, limits: Any, inspect: Callable[[], Recovered], *,
        may_have_gaps: bool,
    ) -> None:  # fmt: skip
        self._signals = signals
        self._shared_file = names.head_file(store, topic, partition)
        self._find = functools.partial(_live_head, store, topic, partition)
        self._searched_at = time.monotonic()
        self._identity = _identity(self._shared_file)
        self._followed = self._find()
        self._own: Any = _new_page()
        recovered = Recovered(new_tail(0), 0, 0, 0, RecoveryReport("trusted")) if self._followed is not None else inspect()
        limits.leader_epoch = recovered.leader_epoch
        lib.el_head_initialise(
            self._own, boot_id(), 0, 0, recovered.tail, limits, recovered.start_offset, recovered.allocated, may_have_gaps, True
        )
        lib.el_head_set_poison(self._own, READ_ONLY)
        self.report = recovered.report

    @property
    def pointer(self) -> Any:
        own, followed = self._own, self._followed
        if own is not None and followed is not None:
            lib.el_head_follow(own, followed, self._signals.pointer)
            if lib.el_head_poison(followed) == DELETED and lib.el_head_poison(own) != DELETED:
                lib.el_head_set_deleted(own, DELETED)
                lib.el_head_wake(own, self._signals.pointer)
        return own

    @property
    def may_have_gaps(self) -> bool:
        """May records be missing from the middle, because compaction or repair has removed them or may do so?"""
        return bool(lib.el_head_may_have_gaps(self.pointer))

    @property
    def poison(self) -> int:
        """`READ_ONLY`, or `DELETED` once others have deleted the topic."""
        return int(lib.el_head_poison(self.pointer))

    def checkpoint(self) -> None:
        """Nothing: it is not known what is on disk."""

    def check_in_place(self) -> None:
        """Follow the page that others share now: they may have opened the partition since, or made another page."""
        if self._followed is not None and _identity(self._shared_file) in (self._identity, None):
            return
        now = time.monotonic()
        if now >= self._searched_at + _SEARCH_SECONDS:
            self._searched_at = now
            identity = _identity(self._shared_file)
            found = self._find()
            if found is not None:
                self._identity, self._followed = identity, found

    def try_exclusive(self) -> bool:
        """Never: it has no part in the file that others share."""
        return False

    def release(self) -> None:
        """Do nothing: no process waits for this one to let go of the page."""

    def close(self) -> None:
        """Stop following."""
        self._followed = self._own = None


def _live_head(store: Path, topic: str, partition: int) -> Any | None:
    """The page that others share, or have shared in this boot."""
    head = trusted_head(store, topic, partition)
    directory = names.partition_directory(store, topic, partition)
    return head if head is not None and has_its_segments(directory, head) else None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _new_page() -> Any:
    file = new_file()
    try:
        file[0] = memory_file("eventlog-head", lib.EL_HEAD_BYTES)
        page = lib.el_head_map(file[0])
        if page == ffi.NULL:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return ffi.gc(page, lib.el_head_unmap)
    finally:
        lib.el_file_close(file)
