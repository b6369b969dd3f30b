"""The settings of a topic that every append goes by, in the heads of its partitions."""

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

    Up to segment.jitter.ms is taken off segment.ms at random, so that not all partitions roll at once: one number for a
    partition, until its head is made anew or its topic altered. A broker draws one for each segment."""
    limits = ffi.new("el_limits *")
    limits.segment_bytes = settings.number("segment.bytes")
    limits.segment_ms = settings.number("segment.ms")
    if settings.is_compacted:  # what stands in the active segment is not compacted: Kafka's LogConfig.maxSegmentMs
        limits.segment_ms = min(limits.segment_ms, settings.number("max.compaction.lag.ms"))
    jitter_ms = min(limits.segment_ms, settings.number("segment.jitter.ms") + 1)
    limits.segment_ms -= int.from_bytes(os.urandom(8), "big") % jitter_ms
    limits.index_interval_bytes = settings.number("index.interval.bytes")
    return limits


def change_settings(head: Any, signals: Signals, settings: TopicConfig, timeout_ms: int) -> None:
    """Let a mapped head go by these settings, in every process; what it does not hold is loaded anew by the next append.

    A head that goes by later settings is left as it is. Raises `LockTimeoutError`."""
    holder = ffi.new("int32_t *")
    change = native_limits(settings), settings.may_have_gaps, settings.decided_by
    if lib.el_head_change_settings(head, signals.pointer, *change, timeout_ms, holder) != lib.EL_DONE:
        raise LockTimeoutError(
            f"process {holder[0]} has held the append mutex of a partition for more than {timeout_ms} ms; if it is stopped, "
            "continue or kill it; the topic was altered, and the partition follows when it is opened next, as by 'maintain'"
        )


def is_behind(head: Any, settings: TopicConfig) -> bool:
    """Does a mapped head go by older settings? Whoever altered the topic died before it had told all partitions."""
    return int(lib.el_head_settings_number(head)) < settings.decided_by


def is_told(store: Path, topic: str, partition: int, settings: TopicConfig) -> bool:
    """Do all who have the partition open go by these settings? Also true where nobody has used it since the machine started."""
    head = trusted_head(store, topic, partition)
    return head is None or not is_behind(head, settings)


def change_settings_of(
    store: Path, signals: Signals, topic: str, partition: int, settings: TopicConfig, timeout_ms: int, *, is_alone: bool = False
) -> None:
    """The same for a partition that this process need not have open; one that nobody has opened yet will load them then.

    `is_alone`: the caller keeps everybody else from opening it."""
    with head_to_change(store, topic, partition, lock_timeout_ms=None if is_alone else timeout_ms) as head:
        if head is not None:
            change_settings(head, signals, settings, timeout_ms)
