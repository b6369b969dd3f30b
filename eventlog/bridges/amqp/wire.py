"""pika's connection, without its work for each message: frames of messages are read and written here, all others by pika.

pika makes an object of each frame, and looks for those that wait for it, which takes most of the time of a bridge. It still
does so for everything but messages of the common size, and for these, too, if a later version calls none of the methods below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pika.exceptions
import pika.frame
import pika.spec

# Called with the delivery tag, whether it is redelivered, exchange, routing key, encoded properties and body.
OnDelivery = Callable[[int, bool, bytes, bytes, bytes, bytes], object]

_FRAME = struct.Struct(">BHI")  # type, channel, size of the payload
_FRAME_END = bytes((pika.spec.FRAME_END,))
_DELIVER = struct.pack(">HH", 60, 60)
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_TAG = struct.Struct(">QB")
_CONTENT = struct.Struct(">HHQ")  # class, weight, size of the body
_MANDATORY = b"\x01"


class RawProperties(pika.BasicProperties):
    """The properties of a message as they came, which are decoded only for those that ask for one of them.

    pika makes one of these for each message that any of its connections in this process receives."""

    raw: bytes | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if arguments or named:
            super().__init__(*arguments, **named)

    def decode(self, encoded: bytes, offset: int = 0) -> RawProperties:
        """Note what came."""
        self.raw = encoded[offset:]
        return self

    def __getattr__(self, name: str) -> Any:
        own = vars(self)
        if name.startswith("__") or "content_type" in own:
            raise AttributeError(name)
        self._decode_all()
        return own[name]

    def _decode_all(self) -> None:
        others = pika.BasicProperties()
        if self.raw is not None:
            others.decode(self.raw)
        for name, value in vars(others).items():
            self.__dict__.setdefault(name, value)

    def encode(self) -> list[bytes]:
        """As every other set of properties: what came may have been changed."""
        self._decode_all()
        pieces: list[bytes] = super().encode()
        return pieces

    def __eq__(self, other: object) -> bool:
        return isinstance(other, pika.BasicProperties) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self._decode_all()
        shown = {name: value for name, value in vars(self).items() if name != "raw" and value is not None}
        return f"<BasicProperties({', '.join(f'{name}={value}' for name, value in sorted(shown.items()))})>"


class EncodedProperties:
    """Properties to publish that are encoded already."""

    INDEX = pika.BasicProperties.INDEX
    __slots__ = ("_encoded",)

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def encode(self) -> list[bytes]:
        """For pika's frame."""
        return [self._encoded]


class Wire(pika.SelectConnection):
    """Sends what is written within a block in one piece, gives messages to `on_delivery`, and can be cut at once."""

    def __init__(self, *arguments: Any) -> None:
        self._gathered: list[bytes] | None = None
        self.on_delivery: OnDelivery | None = None
        super().__init__(*arguments)

    # --- writing ------------------------------------------------------------------------------------------

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """One write at the end of the block, instead of three for each message."""
        self._gathered = []
        try:
            yield
        finally:
            gathered, self._gathered = self._gathered, None
            if gathered and self.is_open:
                self._adapter_emit_data(b"".join(gathered))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._gathered is not None:
            self._gathered.append(data)
        else:
            super()._adapter_emit_data(data)

    def publish(self, channel: int, exchange: bytes, routing_key: bytes, encoded: bytes, body: bytes) -> None:
        """Publish a message that is mandatory. The caller has checked that the channel is open, and all sizes."""
        method = b"%b%c%b%c%b%b" % (_PUBLISH, len(exchange), exchange, len(routing_key), routing_key, _MANDATORY)
        content = _CONTENT.pack(60, 0, len(body)) + encoded
        frames = _frame(pika.spec.FRAME_METHOD, channel, method) + _frame(pika.spec.FRAME_HEADER, channel, content)
        payload_max = self.params.frame_max - _FRAME.size - len(_FRAME_END)
        for start in range(0, len(body), payload_max):
            frames += _frame(pika.spec.FRAME_BODY, channel, body[start : start + payload_max])
        self._adapter_emit_data(frames)

    # --- reading ------------------------------------------------------------------------------------------

    def _on_data_available(self, data_in: bytes) -> None:
        if self.on_delivery is None:
            super()._on_data_available(data_in)
            return
        data = self._frame_buffer + data_in
        position = 0
        try:
            while (end := self._read(data, position)) is not None:
                position = end
        finally:
            self._frame_buffer = data[position:]
            self.bytes_received += position

    def _read(self, data: bytes, position: int) -> int | None:
        """Read a message or a frame, and return where the next one begins; None unless all of it is there."""
        end = self._end_of_frame(data, position)
        if end is None:
            return None
        start = position + _FRAME.size
        if data[start : start + 4] == _DELIVER and data[position] == pika.spec.FRAME_METHOD:
            after = self._read_delivery(data, start, end)
            if after is None or after >= 0:
                return after
        self._give_to_pika(data[position:end])
        return end

    def _end_of_frame(self, data: bytes, position: int) -> int | None:
        if len(data) - position < _FRAME.size:
            return None
        _, _, size = _FRAME.unpack_from(data, position)
        if size > self.params.frame_max:
            raise pika.exceptions.InvalidFrameError(f"a frame of {size} bytes")
        end: int = position + _FRAME.size + size + len(_FRAME_END)
        if end > len(data):
            return None
        if data[end - 1] != pika.spec.FRAME_END:
            raise pika.exceptions.InvalidFrameError("a frame has no end")
        return end

    def _read_delivery(self, data: bytes, start: int, end: int) -> int | None:
        """Read a message whose body is in one frame; -1 if it is not, and pika has to read it; None if it is not all there."""
        header_end = self._end_of_frame(data, end)
        if header_end is None:
            return None
        content = end + _FRAME.size
        _, _, body_size = _CONTENT.unpack_from(data, content)
        if body_size > self.params.frame_max - _FRAME.size - len(_FRAME_END):
            return -1
        body_start = body_end = header_end
        if body_size:
            frame_end = self._end_of_frame(data, header_end)
            if frame_end is None:
                return None
            body_start, body_end = header_end + _FRAME.size, frame_end - len(_FRAME_END)
            if body_end - body_start != body_size:
                return -1
            after = frame_end
        else:
            after = header_end
        assert self.on_delivery is not None
        tag_at = start + 5 + data[start + 4]
        tag, bits = _TAG.unpack_from(data, tag_at)
        exchange_at = tag_at + _TAG.size + 1
        key_at = exchange_at + data[exchange_at - 1] + 1
        exchange, routing_key = data[exchange_at : key_at - 1], data[key_at : key_at + data[key_at - 1]]
        encoded = data[content + _CONTENT.size : header_end - len(_FRAME_END)]
        self.on_delivery(tag, bool(bits & 1), exchange, routing_key, encoded, data[body_start:body_end])
        return after

    def _give_to_pika(self, frame: bytes) -> None:
        decoded: Any = pika.frame.decode_frame(frame)[1]
        self._process_frame(decoded)

    def cut(self) -> None:
        """End without a word: the other side may not be listening, as RabbitMQ does not while its memory is short."""
        self._terminate_stream(pika.exceptions.StreamLostError("hung up"))


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _FRAME.pack(kind, channel, len(payload)) + payload + _FRAME_END
