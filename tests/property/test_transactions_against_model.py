"""Transactions against a slow model: the last stable offset, the aborted transactions, and what consumers read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import EventLog, Partition
from tests.support import heads, made_batches, stores
from tests.support.made_batches import Made
from tests.support.stores import TOPIC

PRODUCERS = 3
TRANSACTIONAL = 0x10

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, PRODUCERS - 1)),
        st.tuples(st.sampled_from(["commit", "abort"]), st.integers(0, PRODUCERS - 1)),
        st.tuples(st.sampled_from(["plain", "roll", "reopen", "reboot", "poll"]), st.just(0)),
    ),
    max_size=25,
)


@dataclass
class Model:
    """What the log contains, offset by offset: the value, or None for a marker, and the number of its transaction."""

    entries: list[tuple[bytes | None, int | None]] = field(default_factory=list)
    outcomes: dict[int, bool] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)  # producer -> transaction
    aborted: list[tuple[int, int, int]] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)
    begun: int = 0

    @property
    def stable_offset(self) -> int:
        undecided = (at for at, (_, number) in enumerate(self.entries) if number is not None and number not in self.outcomes)
        return next(undecided, len(self.entries))

    def first_offset(self, transaction: int) -> int:
        return next(at for at, (_, number) in enumerate(self.entries) if number == transaction)

    def committed(self) -> list[bytes]:
        stable = self.entries[: self.stable_offset]
        return [value for value, number in stable if value is not None and (number is None or self.outcomes[number])]


def _apply(log: EventLog, partition: Partition, model: Model, step: str, producer: int) -> None:
    value = b"%d" % len(model.entries)
    if step == "plain":
        partition.append(value)
        model.entries.append((value, None))
    elif step == "append":
        sequence = model.sequences.get(producer, 0)
        partition.log.append(made_batches.batch(
            [Made(value)], producer_id=producer, producer_epoch=0, base_sequence=sequence, attributes=TRANSACTIONAL,
        ))  # fmt: skip
        model.sequences[producer] = sequence + 1
        if producer not in model.open:
            model.open[producer] = model.begun
            model.begun += 1
        model.entries.append((value, model.open[producer]))
    elif step in ("commit", "abort"):
        number = model.open.pop(producer, None)
        offset = partition.log.append_marker(producer, 0, 0, commit=step == "commit")
        assert offset == (None if number is None else len(model.entries))
        if number is not None:
            first = model.first_offset(number)
            model.outcomes[number] = step == "commit"
            if step == "abort":
                model.aborted.append((producer, first, len(model.entries)))
            model.entries.append((None, None))
    elif step == "roll":
        partition.log.roll()


def _check(partition: Partition, model: Model) -> None:
    assert (partition.stable_offset, partition.end_offset) == (model.stable_offset, len(model.entries))
    assert [each[:3] for each in partition.log.aborted(0, 2**62)] == sorted(model.aborted, key=lambda each: each[1])
    begun = {producer: model.first_offset(number) for producer, number in model.open.items()}
    states = {each.producer_id: each.transaction_start for each in partition.log.producers()}
    assert {producer: start for producer, start in states.items() if start is not None} == begun


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_transactions_are_as_the_model_says(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store, model, read = Path(directory) / "store", Model(), list[bytes]()
        stores.create(store)
        remaining = [*steps, ("poll", 0)]
        while remaining:
            with eventlog.open(store, fsync="never") as log, log.consumer(TOPIC, group="g") as consumer:
                partition = stores.open_partition(log)
                step = ""
                while remaining and step not in ("reopen", "reboot"):
                    step, producer = remaining.pop(0)
                    _apply(log, partition, model, step, producer)
                    _check(partition, model)
                    if step == "poll":
                        read += [record.value for record in consumer.poll(timeout=0) if record.value is not None]
                        assert read == model.committed()
                        consumer.commit()
            if step == "reboot":
                heads.simulate_reboot(stores.head_file(store))
