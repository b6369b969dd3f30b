"""The account of records with keys, appended by writers that may be killed between an append and their word about it."""

from __future__ import annotations

from collections.abc import Mapping

Appended = tuple[int | None, bytes | None]


class KeyedAccount:
    """Of each key the (offset, value) that was acknowledged last, and behind it those that were begun but not acknowledged.

    Each key has one writer, which appends one record at a time."""

    def __init__(self) -> None:
        self.appended: dict[bytes, list[Appended]] = {}

    def note(self, offset: int | None, key: bytes, value: bytes | None) -> None:
        """A writer's word: an append begins (offset None), or has returned."""
        if offset is None:
            self.appended.setdefault(key, []).append((offset, value))
        else:
            self.appended[key] = [(offset, value)]

    def check(self, found: Mapping[bytes, tuple[int, bytes | None]]) -> None:
        """Every key has the value that was acknowledged last, or the one whose append its writer did not live to report."""
        for key, appended in self.appended.items():
            if key in found:
                assert found[key] in appended or (None, found[key][1]) in appended, (key, found[key], appended)
            else:  # a tombstone whose time is up, or its writer was killed before it appended any
                is_gone = any(value is None for _, value in appended) or all(offset is None for offset, _ in appended)
                assert is_gone, (key, appended)
