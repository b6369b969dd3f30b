"""What the processes said, and whether the store agrees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tests.support import mortals, payloads
from tests.support.bare_store import BareStore
from tests.support.kafka_format import ParsedRecord
from tests.support.keyed import KeyedAccount
from tests.support.stores import TOPIC
from torture.campaigns.kills.transactions import TransactionAccount


class Account:
    """Everything that was acknowledged in one store."""

    def __init__(self) -> None:
        self._appended: dict[tuple[str, int], list[tuple[int, int, int, int]]] = defaultdict(list)
        self._keyed = KeyedAccount()
        self._committed: dict[int, int] = defaultdict(lambda: -1)
        self._synced: dict[int, int] = defaultdict(lambda: -1)
        self._followed: dict[tuple[str, int], int] = {}
        self._handed_out: dict[int, set[int]] = defaultdict(set)
        self._finished: dict[int, set[int]] = defaultdict(set)
        self.transactions = TransactionAccount()
        self.records = 0
        self.commits = 0

    def note(self, kind: str, said: Any) -> None:
        """One message of a role in `tests.support.mortals`."""
        if self.transactions.note(kind, said):
            return
        if kind == "appended":
            topic, partition, *rest = said
            self._appended[topic, partition].append(tuple(rest))
            self.records += rest[-1]
        elif kind == "keyed":
            self._keyed.note(*said)
            self.records += said[0] is not None
        elif kind == "handed out":
            for partition, first, stop in said:
                self._handed_out[partition].update(range(first, stop))
        elif kind == "finished":
            partition, offset = said
            self._finished[partition].add(offset)
        elif kind == "followed":
            group, partition, stop = said
            self.commits += 1
            self._followed[group, partition] = stop
        elif kind == "committed":
            stops, is_synced = said
            self.commits += 1
            for partition, stop in stops.items():
                self._committed[partition] = max(self._committed[partition], stop)
                if is_synced:
                    self._synced[partition] = max(self._synced[partition], stop)
        else:
            assert kind == "operated" or (kind == "maintained" and not said), f"{kind}: {said}"

    def forget_what_a_reboot_forgets(self) -> None:
        """Commits that were not on disk."""
        self._committed = self._synced.copy()
        self._followed.clear()

    def check(self, store: BareStore) -> dict[tuple[str, int], int]:
        """Hold what was said against the bytes of the store; returns where the partitions of the account end."""
        ends = {}
        for place in mortals.PLACES:
            records = store.records(*place)
            self._check_appended(place, records)
            ends[place] = records[-1].offset + 1 if records else 0
        keyed = store.records(mortals.COMPACTED, 0, is_compacted=True)
        self._keyed.check({record.key: (record.offset, record.value) for record in keyed if record.key is not None})
        self.transactions.check(store, is_finished=False)
        self._check_commits(store.committed(mortals.GROUP), ends)
        for (_, partition), (slot, _) in store.committed(mortals.STUMBLING_GROUP).items():
            unfinished = set(range(slot)) - self._finished[partition]
            assert not unfinished, f"{TOPIC}-{partition}: committed {slot}, but nobody has finished {sorted(unfinished)[:5]}"
        for (group, partition), acknowledged in self._followed.items():
            slot, _ = store.committed(group)[TOPIC, partition]
            assert acknowledged <= slot <= ends[TOPIC, partition], f"{group}: {acknowledged} was acknowledged, there is {slot}"
        return ends

    def _check_appended(self, place: tuple[str, int], records: Iterable[ParsedRecord]) -> None:
        checker = None
        written = {}
        for record in records:
            checker = checker or payloads.Checker(record.offset)
            checker.check(record.offset, record.value)
            written[record.offset] = payloads.writer_of(record.value)
        if checker is not None:
            checker.check_between_groups()
        start = next(iter(written), 0)
        for first, writer, sequence, size in self._appended[place]:
            for number in range(size):
                if place[0] == TOPIC or first + number >= start:
                    assert written.get(first + number) == (writer, sequence + number), (
                        f"{place}: record {sequence + number} of writer {writer} was acknowledged at {first + number}; "
                        f"there is {written.get(first + number)}"
                    )

    def _check_commits(self, committed: dict[tuple[str, int], tuple[int, int]], ends: dict[tuple[str, int], int]) -> None:
        for partition, acknowledged in self._committed.items():
            slot, _ = committed[TOPIC, partition]
            assert slot >= acknowledged, f"{TOPIC}-{partition}: commit of {acknowledged} was acknowledged, there is {slot}"
        for (topic, partition), (slot, stored) in committed.items():
            assert stored <= slot <= ends[topic, partition], f"{topic}-{partition}: {stored} <= {slot} <= {ends}"
            unread = set(range(slot)) - self._handed_out[partition]
            assert not unread, f"{topic}-{partition}: committed {slot}, but nobody was given {sorted(unread)[:5]}"
