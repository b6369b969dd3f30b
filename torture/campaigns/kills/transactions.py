"""What processes said about transactions and numbered records, and whether the store agrees."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from tests.support import movers, payloads
from tests.support.bare_store import BareStore
from tests.support.kafka_format import ParsedRecord
from tests.support.stores import TOPIC


class TransactionAccount:
    """Everything that movers, witnesses and numberers have said of one store."""

    def __init__(self) -> None:
        self._moved: dict[tuple[int, int], int] = {}
        self._dropped: set[tuple[int, int]] = set()
        self._witnessed: dict[int, list[tuple[int, int, list[int]]]] = defaultdict(list)
        self._numbered: set[int] = set()
        self.committed = 0

    def note(self, kind: str, said: Any) -> bool:
        """One message of a role in `tests.support.movers`; False if it is another one's."""
        if kind == "moved":
            writer, transaction, size = said
            self._moved[writer, transaction] = size
            self.committed += 1
        elif kind == "dropped":
            self._dropped.add(said)
        elif kind == "witnessed":
            partition, *seen = said
            self._witnessed[partition].append(tuple(seen))
        elif kind == "numbered":
            sequence, offset = said
            assert sequence == offset, f"record {sequence} of the numbered ones was acknowledged at {offset}"
            self._numbered.add(sequence)
        else:
            return False
        return True

    def check(self, store: BareStore, *, is_finished: bool) -> None:
        """Hold it against the bytes. Once whoever opened the store has finished what the dead have left (`is_finished`),
        every transaction is whole or invisible, and so are the positions that belong to it."""
        self._check_numbered(store.records(movers.NUMBERED, 0))
        found: Counter[tuple[int, int]] = Counter()
        sources: Counter[tuple[int, int]] = Counter()
        sizes: dict[tuple[int, int], int] = {}
        for partition in range(movers.PARTITIONS):
            records, stable_offset, end_offset = store.committed_records(movers.MOVED, partition)
            assert not is_finished or stable_offset == end_offset, f"{movers.MOVED}-{partition}: a transaction is open forever"
            for record in records:
                transaction, source, size = _read(record)
                found[transaction] += 1
                sources[source] += 1
                sizes[transaction] = size
            self._check_witnessed(partition, {record.offset for record in records})
        self._check_transactions(found, sizes, is_finished)
        assert not (twice := [source for source, times in sources.items() if times > 1]), f"moved twice: {twice[:5]}"
        if is_finished:
            _check_positions(store, sources)

    def _check_numbered(self, records: list[ParsedRecord]) -> None:
        for sequence, record in enumerate(records):
            assert record.value == movers.numbered(sequence), f"another record than {sequence} at offset {record.offset}"
        assert not (lost := {each for each in self._numbered if each >= len(records)}), f"numbered records are gone: {lost}"

    def _check_witnessed(self, partition: int, committed: set[int]) -> None:
        for first, stop, seen in self._witnessed[partition]:
            expected = sorted(offset for offset in committed if first <= offset < stop)
            assert seen == expected, f"{movers.MOVED}-{partition}: seen from {first} to {stop}: {seen}, committed: {expected}"

    def _check_transactions(
        self, found: Counter[tuple[int, int]], sizes: dict[tuple[int, int], int], is_finished: bool
    ) -> None:
        for transaction, size in self._moved.items():
            assert found[transaction] == size, f"{transaction} was committed with {size} records, and has {found[transaction]}"
        assert not (shown := self._dropped & found.keys()), f"aborted, and visible: {shown}"
        for transaction, size in sizes.items():
            assert not is_finished or found[transaction] == size, f"{found[transaction]} of {size} records of {transaction}"


def _read(record: ParsedRecord) -> tuple[tuple[int, int], tuple[int, int], int]:
    """The transaction of a record, the record that it is a copy of, and the size of the transaction."""
    assert record.value is not None
    writer, transaction, packed, number, size = payloads.fields_of(record.value)
    source = packed >> 32, packed & 0xFFFFFFFF
    assert record.value == movers.copy_of(source, writer, transaction, number, size), f"wrong bytes at offset {record.offset}"
    return (writer, transaction), source, size


def _check_positions(store: BareStore, sources: Counter[tuple[int, int]]) -> None:
    """What was moved is what the group has committed: no record is left out, none will be moved again."""
    for (_, partition), (slot, stored) in store.committed(movers.MOVERS).items():
        moved = {offset for place, offset in sources if place == partition}
        stop = max(slot, 0)
        assert slot == stored, f"{TOPIC}-{partition}: {stored} of a transaction is in the catalog, {slot} in its slot"
        assert moved == set(range(stop)), f"{TOPIC}-{partition}: {stop} is committed, {len(moved)} records were moved"
