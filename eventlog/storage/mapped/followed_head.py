"""The head of a partition in a process that changes nothing: a page of its own, which follows the one that others share.

What waits, locks and reads works on the own page as on the shared one. That is mapped to be read only, and not at all if nobody
has opened the partition in this boot, as in a copy: then the page says what the files contain.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.access import memory_file, new_file
from eventlog.storage.mapped.foreign_heads import MappedHead, mapped_head
from eventlog.storage.mapped.head_checks import has_its_segments
from eventlog.storage.mapped.poison import DELETED, READ_ONLY
from eventlog.storage.segments import names
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.headers import new_tail
from eventlog.storage.segments.recovery import Recovered, RecoveryReport
from eventlog.waiting import Signals


class FollowedHead:
    """`pointer` is a native `el_head`, brought up to date whenever it is asked for; None once it is closed.

    `inspect` says what the files of the partition contain. It is called if there is no page to follow."""

    def __init__(
        self, store: Path, topic: str, partition: int, signals: Signals, limits: Any, inspect: Callable[[], Recovered], *,
        may_have_gaps: bool,
    ) -> None:  # fmt: skip
        self._signals = signals
        self._directory = names.partition_directory(store, topic, partition)
        self._file = names.head_file(store, topic, partition)
        self._shared: MappedHead | None = None  # whether it can be trusted yet or not
        self._is_following = False
        self._own: Any = _new_page()
        recovered = Recovered(new_tail(0), 0, 0, 0, RecoveryReport("trusted")) if self._begins_to_follow() else inspect()
        limits.leader_epoch = recovered.leader_epoch
        lib.el_head_initialise(
            self._own, boot_id(), 0, 0, recovered.tail, limits, recovered.start_offset, recovered.allocated, may_have_gaps, True
        )
        lib.el_head_set_poison(self._own, READ_ONLY)
        self.report = recovered.report

    def _begins_to_follow(self) -> bool:
        """Is there a page now that others share, or have shared in this boot?"""
        if self._shared is None:
            self._shared = mapped_head(self._file)
        shared = self._shared
        is_found = shared is not None and shared.is_trusted and has_its_segments(self._directory, shared.pointer)
        self._is_following = is_found
        return is_found

    @property
    def pointer(self) -> Any:
        own = self._own
        if own is None or not (self._is_following or self._begins_to_follow()):
            return own
        shared = self._shared
        if shared is not None:
            lib.el_head_follow(own, shared.pointer, self._signals.pointer)
            if lib.el_head_poison(shared.pointer) == DELETED and lib.el_head_poison(own) != DELETED:
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
        """If others have made a new page in another file, follow that one."""
        shared = self._shared
        if shared is not None and not shared.is_in_place(self._file):
            self._shared, self._is_following = None, False

    def try_exclusive(self) -> bool:
        """Never: it has no part in the file that others share."""
        return False

    def release(self) -> None:
        """Do nothing: no process waits for this one to let go of the page."""

    def close(self) -> None:
        """Stop following."""
        self._own = None


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
