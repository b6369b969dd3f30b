"""Whatever steps transactions take, and wherever whoever runs them dies: readers see what a plain model says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import eventlog
from eventlog import EventLog, TopicPartition, TransactionalProducer
from eventlog.catalog.transactions import TransactionCatalog
from eventlog.clock import now_ms
from eventlog.storage.partition.log import PartitionLog

_PARTITIONS = 3
_STEPS_MAX = 12  # of ending a transaction
_names = st.sampled_from(["a", "b"])
_partitions = st.integers(0, _PARTITIONS - 1)


class _Died(BaseException):
    """Stands for the death of the process: nothing that was to come is done."""


@contextmanager
def _dying_before(step: int) -> Iterator[None]:
    """Die before this step, of those that change the catalog or a partition."""
    left = iter(range(step))

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise _Died
            return real(*arguments, **options)

        return call

    with (
        mock.patch.object(TransactionCatalog, "change", dying(TransactionCatalog.change)),
        mock.patch.object(PartitionLog, "append_marker", dying(PartitionLog.append_marker)),
        mock.patch.object(PartitionLog, "flush", dying(PartitionLog.flush)),
    ):
        yield


class TransactionsAndModel(RuleBasedStateMachine):
    """Two transactional ids in one store, beside what readers may see."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="eventlog-transactions-"))
        self.visible: list[list[bytes]] = [[] for _ in range(_PARTITIONS)]
        self.committed: dict[TopicPartition, int] = {}
        self.producers: dict[str, TransactionalProducer] = {}
        self.sent: dict[str, list[tuple[int, bytes]]] = {}
        self.offsets: dict[str, dict[TopicPartition, int]] = {}
        self.count = 0

    @initialize()
    def create(self) -> None:
        self.log: EventLog = eventlog.open(self.directory / "store", fsync="never")
        self.log.create_topic("events", _PARTITIONS)
        for name in ("a", "b"):
            self._begin(name)

    def _begin(self, name: str) -> None:
        """A new producer of this id, whatever has become of the last one."""
        self.producers[name] = self.log.producer(transactional_id=name)
        self.producers[name].begin()
        self.sent[name], self.offsets[name] = [], {}

    def _apply(self, name: str) -> None:
        for partition, value in self.sent[name]:
            self.visible[partition].append(value)
        self.committed.update(self.offsets[name])

    @rule(name=_names, partition=_partitions, flushes=st.booleans())
    def send(self, name: str, partition: int, flushes: bool) -> None:
        self.count += 1
        value = f"{name}{self.count}".encode()
        self.producers[name].send("events", value, partition=partition)
        self.sent[name].append((partition, value))
        if flushes:
            self.producers[name].flush()

    @rule(name=_names, partition=_partitions)
    def send_offset(self, name: str, partition: int) -> None:
        where = TopicPartition("events", partition)
        offset = max(self.log.partition(*where).end_offset, self.committed.get(where, 0))
        self.producers[name].send_offsets({where: offset}, group="g")
        self.offsets[name][where] = offset

    @rule()
    def send_outside(self) -> None:
        """A record of no transaction is visible once the transactions before it have ended."""
        self.count += 1
        value = f"plain{self.count}".encode()
        self.log.partition("events", 0).append(value)
        self.visible[0].append(value)

    @rule(name=_names)
    def commit(self, name: str) -> None:
        self.producers[name].commit()
        self._apply(name)
        self._go_on(name)

    @rule(name=_names)
    def abort(self, name: str) -> None:
        self.producers[name].abort()
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        self.producers[name].begin()
        self.sent[name], self.offsets[name] = [], {}

    @rule(name=_names)
    def fence(self, name: str) -> None:
        self._begin(name)

    @rule(name=_names)
    def expire(self, name: str) -> None:
        self.log.open_transactions.coordinator.attend(now_ms() + 3_600_000)
        for each in ("a", "b"):
            self._begin(each)

    @rule(name=_names, step=st.integers(0, _STEPS_MAX), commits=st.booleans(), successor_dies=st.integers(0, _STEPS_MAX))
    def die(self, name: str, step: int, commits: bool, successor_dies: int) -> None:
        """Die while ending a transaction; whoever completes it dies once, too."""
        producer, coordinator = self.producers[name], self.log.open_transactions.coordinator
        self.count += 1
        position = b"%d" % self.count  # is stored if the transaction is committed: together with all the rest, or not
        producer.set_position(position)
        with suppress(_Died), _dying_before(step):
            producer.commit() if commits else producer.abort()
        with suppress(_Died), _dying_before(successor_dies):
            coordinator.attend(now_ms())
        coordinator.attend(now_ms())
        state = self.log.store.catalog.transactions.find(name)
        assert state is not None
        if state.position == position:
            assert commits
            self._apply(name)
        self._begin(name)

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        for name in self.producers:
            self.log.abort_transaction(name)
        for partition in range(_PARTITIONS):
            with self.log.consumer() as consumer:
                consumer.assign([TopicPartition("events", partition)])
                found = []
                while records := consumer.poll(timeout=0):
                    found += [record.value for record in records]
            assert sorted(found) == sorted(self.visible[partition])  # type: ignore[type-var]
        groups = self.log.groups()
        assert (self.log.group("g").committed() if groups else {}) == self.committed
        self.log.close()
        shutil.rmtree(self.directory)


TestTransactionsAgainstModel = TransactionsAndModel.TestCase
TestTransactionsAgainstModel.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
