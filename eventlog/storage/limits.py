"""The settings of a topic that every append goes by, in the heads of its partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.errors import LockTimeoutError
from eventlog.options import TopicConfig
from eventlog.storage.glance import head_to_change
from eventlog.waiting import Signals


def native_limits(settings: TopicConfig) -> Any:
    """The settings as a native `el_limits`."""
    limits = ffi.new("el_limits *")
    limits.segment_bytes = settings.number("segment.bytes")
    limits.segment_ms = settings.number("segment.ms")
    limits.index_interval_bytes = settings.number("index.interval.bytes")
    return limits


def change_settings(head: Any, signals: Signals, settings: TopicConfig, timeout_ms: int) -> None:
    """Let a mapped head go by these settings, in every process; what it does not hold is loaded anew by the next append.

    Raises `LockTimeoutError`."""
    holder = ffi.new("int32_t *")
    limits, gaps = native_limits(settings), settings.may_have_gaps
    if lib.el_head_change_settings(head, signals.pointer, limits, gaps, timeout_ms, holder) != lib.EL_DONE:
        raise LockTimeoutError(
            f"process {holder[0]} has held the append mutex of a partition for more than {timeout_ms} ms; if it is stopped, "
            "continue or kill it, and alter the topic again"
        )


def change_settings_of(
    store: Path, signals: Signals, topic: str, partition: int, settings: TopicConfig, timeout_ms: int, *, is_alone: bool = False
) -> None:
    """The same for a partition that this process need not have open; one that nobody has opened yet will load them then.

    `is_alone`: the caller keeps everybody else from opening it."""
    with head_to_change(store, topic, partition, lock_timeout_ms=None if is_alone else timeout_ms) as head:
        if head is not None:
            change_settings(head, signals, settings, timeout_ms)
