"""Appending records to a partition: they are encoded as batches with the topic's current settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eventlog._native import BaseWriter, ffi, lib
from eventlog.clock import Time
from eventlog.errors import ConflictError, InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError
from eventlog.records.batch import BatchOrigin, Headers, encoded, with_origin
from eventlog.storage.partition.log import PartitionLog, check_int


class _Expected:
    """The end offset that a conditional append requires. `end_offset` is a native cell; at a conflict the append stores the
    actual end offset in it."""

    def __init__(self, log: PartitionLog, end_offset: int) -> None:
        check_int("expected_end_offset", end_offset, 0)
        self._log = log
        self._given = end_offset
        self.end_offset: Any = ffi.new("int64_t *", end_offset)

    def check(self) -> None:
        """Raise `ConflictError` unless the log ends there now."""
        self.end_offset[0] = self._log.end_offset
        if self.end_offset[0] != self._given:
            raise self.conflict()

    def conflict(self) -> ConflictError:
        """The error for an append that has met another end offset."""
        return ConflictError(self._log.topic, self._log.partition, self._given, int(self.end_offset[0]))


class RecordWriter(BaseWriter):
    """Appends records to one partition. Safe for use by several threads."""

    def __init__(self, log: PartitionLog) -> None:
        self._log = log
        native = log.native
        super().__init__(log, int(ffi.cast("uintptr_t", native)), native)

    def append_many(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        headers: Sequence[Headers | None] | None,
        timestamps: Sequence[Time | None] | None,
        *,
        compression: str | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        """The same as `Partition.append_many`."""
        expected = None if expected_end_offset is None else _Expected(self._log, expected_end_offset)
        while (offsets := self._append_unit(values, keys, headers, timestamps, compression, expected=expected)) is None:
            pass
        if offsets:
            self._log.flush_if_always(offsets.stop)
        return offsets

    def append_placed(
        self,
        values: list[bytes | None],
        keys: list[bytes | None] | None,
        headers: list[Headers | None] | None,
        timestamps: list[int | None] | None,
        *,
        compression: str | None,
        address: int,
    ) -> None:
        """Like `append_many`, but without waiting for the disk. Stores the offsets of the records in the native `el_placed` at
        this address, before an interrupt can intervene."""
        placed = ffi.cast("el_placed *", address)
        while self._append_unit(values, keys, headers, timestamps, compression, placed) is None:
            pass

    def append_as(
        self,
        origin: BatchOrigin,
        values: list[bytes | None],
        keys: list[bytes | None] | None,
        headers: list[Headers | None] | None,
        timestamps: list[int | None] | None,
        *,
        compression: str | None,
        address: int,
    ) -> None:
        """Like `append_placed`, for one batch of a producer that has an id. If it was appended before, its offset is that of
        the first time. Raises also what `PartitionLog.append` raises about producers."""
        placed, log = ffi.cast("el_placed *", address), self._log
        while True:
            settings = log.settings
            try:
                codec = settings.codec_for(compression)
                with encoded(values, keys, headers, timestamps, settings.encoding, codec=codec) as pack:
                    batch = with_origin(pack, origin)
                break
            except (InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError):
                if not log.is_open or log.settings is settings:
                    raise  # otherwise the settings that refused them are out of date
        appended = log.append_unflushed(batch)
        placed.is_stamped, placed.first_offset = appended.append_time_ms is not None, appended.first_offset

    def check_record(self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None) -> int:
        """Raise what appending would raise about the record itself, but append nothing; returns the size of its batch in
        bytes."""
        with encoded([value], [key], [headers], [timestamp], self._log.settings.encoding) as pack:
            return int(pack.length)

    def _append_unit(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        headers: Sequence[Headers | None] | None,
        timestamps: Sequence[Time | None] | None,
        compression: str | None,
        placed: Any = ffi.NULL,
        expected: _Expected | None = None,
    ) -> range | None:
        """Append a unit; None if the topic was altered meanwhile, so that the caller must retry with its new settings.

        `placed` is a native `el_placed *`, which is filled in before an interrupt can intervene."""
        log = self._log
        native = log.native
        settings = log.settings  # the same settings throughout: another thread may load others meanwhile
        codec = settings.codec_for(compression)
        position = lib.el_appender_position(native)
        end_offset = ffi.NULL if expected is None else expected.end_offset
        try:
            with encoded(values, keys, headers, timestamps, settings.encoding, codec=codec, position=position) as pack:
                if pack.count == 0:
                    if expected is not None:
                        expected.check()
                    return range(0)
                while (offset := lib.el_append_pack(native, pack, settings.version, end_offset, placed)) < 0:
                    if offset == lib.EL_SETTINGS_CHANGED:
                        log.reload_settings()
                        return None
                    if expected is not None and offset == lib.EL_CONFLICT:
                        raise expected.conflict()
                    log.resolve(offset)
                return range(offset, offset + pack.count)
        except (InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError):
            if not log.is_open or log.settings is settings:
                raise
            return None  # the settings that refused them are out of date
