"""Produce requests for one batch, as most producers send them, read and answered without an object for each structure.

Source of the format: `native/codec/produce_request.h`.
"""

from __future__ import annotations

from typing import Any

from eventlog._native import ffi, lib

_ROOM_MIN = 512


class SingleProduce:
    """Reads request after request. For one thread."""

    def __init__(self) -> None:
        self.topic = b""
        """Its name in UTF-8, or its id."""
        self.transactional_id: bytes | None = None
        """In UTF-8."""
        self.partition = 0
        self.acks = 0
        self.batch = memoryview(b"")
        self._native: Any = ffi.new("el_produce_request *")
        self._answer: Any = ffi.new("uint8_t[]", _ROOM_MIN)
        self._answered = ffi.buffer(self._answer)

    @property
    def is_transactional(self) -> bool:
        """Does the batch belong to a transaction?"""
        return bool(self._native.is_transactional)

    @property
    def producer(self) -> tuple[int, int]:
        """The id and the epoch of the batch's producer; -1: it has none."""
        return self._native.producer_id, self._native.producer_epoch

    @property
    def has_topic_id(self) -> bool:
        """Is the topic named by its id?"""
        return bool(self._native.has_topic_id)

    def read(self, frame: memoryview) -> bool:
        """Read a frame without its length. False if it is anything else: another request, one for several batches or for one
        that is compressed, or not well formed."""
        native = self._native
        if not lib.el_produce_request_read(ffi.from_buffer("uint8_t[]", frame), len(frame), native):
            return False
        self.topic = bytes(frame[native.topic_at : native.topic_at + native.topic_length])
        length = native.transactional_id_length
        self.transactional_id = None if length < 0 else bytes(frame[native.transactional_id_at :][:length])
        self.batch = frame[native.batch_at : native.batch_at + native.batch_length]
        self.partition, self.acks = native.partition, native.acks
        return True

    def answer(self, base_offset: int, append_time_ms: int, log_start_offset: int) -> bytes:
        """The frame that answers the request that was read last."""
        topic = self.topic
        if len(self._answered) < lib.EL_PRODUCE_ANSWER_BYTES + len(topic):
            self._answer = ffi.new("uint8_t[]", lib.EL_PRODUCE_ANSWER_BYTES + len(topic))
            self._answered = ffi.buffer(self._answer)
        out = self._answer
        length = lib.el_produce_answer_write(self._native, topic, base_offset, append_time_ms, log_start_offset, out)
        return bytes(self._answered[:length])
