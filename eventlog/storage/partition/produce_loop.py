"""Produce requests that have arrived together, answered in native code as long as they need nothing else.

Source of the mechanism: `native/store/produce_loop.h`.
"""

from __future__ import annotations

from typing import Any

from eventlog._native import ffi, lib
from eventlog.storage.partition.log import PartitionLog

_ANSWERS_BYTES = 64 * 1024


class ProduceLoop:
    """Knows the partitions that were used last. For one thread."""

    def __init__(self) -> None:
        self.request_count = 0
        """The number of requests that `answer` has answered."""
        self.consumed = 0
        """Their bytes, with lengths."""
        self._native: Any = ffi.new("el_produce_loop *")
        self._answers: Any = ffi.new("uint8_t[]", _ANSWERS_BYTES)
        self._answered = ffi.buffer(self._answers)
        self._used: dict[int, tuple[PartitionLog, Any, Any]] = {}  # by slot, with what its pointers point to

    def add(self, topic: bytes, *, is_id: bool, log: PartitionLog) -> None:
        """Let requests for a partition be answered here, which name its topic in this way. One that flushes each append has to
        wait for the disk, and is not added."""
        if log.flush_always:
            return
        number = int(lib.el_produce_slot_of(topic, len(topic), log.partition))
        native, settings, name = log.native, log.settings, ffi.new("uint8_t[]", topic)
        slot = self._native.slots[number]
        slot.topic, slot.topic_length, slot.has_topic_id, slot.partition = name, len(topic), is_id, log.partition
        slot.rules, slot.settings_version = settings.rules[0], settings.version
        slot.appender = native
        self._used[number] = log, native, name

    def clear(self) -> None:
        """Forget all partitions."""
        for number in self._used:
            self._native.slots[number].appender = ffi.NULL
        self._used.clear()

    def answer(self, requests: memoryview, request_bytes_max: int) -> bytes:
        """Answer the requests at the start of a buffer, each with its length, and return the answers; those that want none get
        none. The buffer must not be read again as far as it is consumed."""
        native, data = self._native, ffi.from_buffer("uint8_t[]", requests)
        lib.el_produce_answer_all(native, data, len(requests), request_bytes_max, self._answers, _ANSWERS_BYTES)
        self.request_count, self.consumed = native.request_count, native.consumed
        return bytes(self._answered[: native.answer_bytes])

    def appended(self) -> list[PartitionLog]:
        """The partitions to which the last call of `answer` has appended."""
        native = self._native
        return [self._used[native.appended[number]][0] for number in range(native.appended_count)]
