"""The settings of a topic that every append uses, in the heads of its partitions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import LockTimeoutError
from eventlog.options import TopicConfig
from eventlog.storage.mapped.foreign_heads import head_to_change, trusted_head
from eventlog.waiting import Signals


def native_limits(settings: TopicConfig) -> Any:
    """The settings as a native `el_limits`.

    A random number up to segment.jitter.ms is subtracted from segment.ms, so that not all partitions roll at once. It stays the
    same for a partition until its head is initialised again or its topic altered. A broker draws one for each segment."""
    limits = ffi.new("el_limits *")
    limits.segment_bytes = settings.number("segment.bytes")
    limits.segment_ms = settings.number("segment.ms")
    if settings.is_compacted:  # the active segment is not compacted: Kafka's LogConfig.maxSegmentMs
        limits.segment_ms = min(limits.segment_ms, settings.number("max.compaction.lag.ms"))
    jitter_ms = min(limits.segment_ms, settings.number("segment.jitter.ms") + 1)
    limits.segment_ms -= int.from_bytes(os.urandom(8), "big") % jitter_ms
    limits.index_interval_bytes = settings.number("index.interval.bytes")
    return limits


def change_settings(head: Any, signals: Signals, settings: TopicConfig, timeout_ms: int) -> None:
    """Set these settings in a mapped head, for every process; the next append reloads those that it does not contain.

    A head that has later settings is left unchanged. Raises `LockTimeoutError`."""
    holder = ffi.new("int32_t *")
    change = native_limits(settings), settings.may_have_gaps, settings.decided_by
    if lib.el_head_change_settings(head, signals.pointer, *change, timeout_ms, holder) != lib.EL_DONE:
        raise LockTimeoutError(
            f"process {holder[0]} has held the append mutex of a partition for more than {timeout_ms} ms; if it is stopped, "
            "continue or kill it; the topic was altered, and the partition follows when it is opened next, as by 'maintain'"
        )


def is_behind(head: Any, settings: TopicConfig) -> bool:
    """Does a mapped head have older settings? Then the process that altered the topic died before updating all partitions."""
    return int(lib.el_head_settings_number(head)) < settings.decided_by


def is_announced(store: Path, topic: str, partition: int, settings: TopicConfig) -> bool:
    """Do all processes that have the partition open use these settings? Also true if none has used it in this boot."""
    head = trusted_head(store, topic, partition)
    return head is None or not is_behind(head, settings)


def change_settings_of(
    store: Path, signals: Signals, topic: str, partition: int, settings: TopicConfig, timeout_ms: int, *, is_alone: bool = False
) -> None:
    """Like `change_settings`, for a partition that this process need not have open; a partition that no process has opened yet
    will load the settings when it is opened.

    `is_alone`: the caller prevents all others from opening it."""
    with head_to_change(store, topic, partition, lock_timeout_ms=None if is_alone else timeout_ms) as head:
        if head is not None:
            change_settings(head, signals, settings, timeout_ms)
