"""Arguments that change while they are looked at: by code of their own, or by another thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import InvalidArgumentError
from tests.support import stores


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[eventlog.Partition]:
    stores.create(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        yield stores.open_partition(log)


class _Emptying(list[Any]):
    """Empties another list when somebody goes through it, asks for an item of it or for its length."""

    def __init__(self, items: list[Any], other: list[Any]) -> None:
        super().__init__(items)
        self._other = other

    def __iter__(self) -> Iterator[Any]:
        self._other.clear()
        return super().__iter__()

    def __getitem__(self, index: Any) -> Any:
        self._other.clear()
        return super().__getitem__(index)

    def __len__(self) -> int:
        self._other.clear()
        return super().__len__()


def test_headers_that_take_the_values_away_are_not_asked(partition: eventlog.Partition) -> None:
    values: list[bytes | None] = [b"value %d" % number for number in range(100)]
    headers: list[Any] = [None] * 100
    headers[0] = _Emptying([("name", b"value")], values)
    headers[1] = _Emptying([("name", b"value")], headers)
    assert partition.append_many(values, headers=headers) == range(100)
    assert stores.everything(partition)[1].headers == (("name", b"value"),)


def test_values_that_are_gone_by_the_time_they_are_encoded_are_refused(partition: eventlog.Partition) -> None:
    values: list[bytes | None] = [b"one", b"two"]

    class Keys:
        def __iter__(self) -> Iterator[bytes]:
            values.clear()
            return iter([b"a", b"b"])

    with pytest.raises(InvalidArgumentError, match="another thread changed a list"):
        partition.append_many(values, keys=Keys())  # type: ignore[arg-type]
    assert partition.end_offset == 0
