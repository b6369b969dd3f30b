"""A commit that returns is kept: also one that comes while the store is closed, or it is refused."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import eventlog
from eventlog import Consumer, EventLog, RebalanceListener, TopicPartition, api
from tests.support import stores, workers
from tests.support.processes import Interpreter

TOPIC = stores.TOPIC
GROUP = "workers"
PLACE = TopicPartition(TOPIC, 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with eventlog.open(path, fsync="never") as log:
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append_many([b"%d" % number for number in range(20)])
    return path


def committed(store: Path) -> int:
    with eventlog.open(store, fsync="never") as log:
        return log.group(GROUP).committed()[PLACE]


class Busy(RebalanceListener):
    """Is at work in `assigned` until it is let go, and commits there then."""

    def __init__(self) -> None:
        self.consumer: Consumer | None = None
        self.is_busy, self.goes_on = threading.Event(), threading.Event()
        self.raised: list[str] = []

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.is_busy.set()
        self.goes_on.wait()
        assert self.consumer is not None
        for sync in (False, True):
            try:
                self.consumer.commit({PLACE: 7}, sync=sync)
            except eventlog.EventLogError as error:
                self.raised.append(type(error).__name__)


def test_a_commit_after_the_store_was_closed_over_a_busy_listener_is_refused(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_CLOSE_SECONDS", 0.01)
    log = eventlog.open(store, fsync="never")
    listener = Busy()
    with log.consumer(group=GROUP) as other:
        other.assign([PLACE])
        other.commit({PLACE: 5})
    consumer = listener.consumer = log.consumer(TOPIC, group=GROUP, listener=listener)
    ended: list[str] = []

    def poll() -> None:
        try:
            consumer.poll()
        except eventlog.StoreClosedError:
            ended.append("closed")

    thread = threading.Thread(target=poll)
    thread.start()
    listener.is_busy.wait()
    log.close()
    listener.goes_on.set()
    thread.join()
    assert (listener.raised, ended) == (["StoreClosedError"] * 2, ["closed"])
    consumer.close()
    assert committed(store) == 5


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_short_commit_after_the_store_was_closed_is_refused(store: Path, elsewhere: bool) -> None:
    log = eventlog.open(store, fsync="never")
    consumer = log.consumer(group=GROUP)
    consumer.assign([PLACE])
    last = 0
    with pytest.raises(eventlog.StoreClosedError):
        for record in consumer:
            if record.offset == 10:
                close(log, elsewhere)
            consumer.commit()
            last = record.offset + 1
    assert committed(store) == last == 10


def close(log: EventLog, elsewhere: bool) -> None:
    if elsewhere:
        thread = threading.Thread(target=log.close)
        thread.start()
        thread.join()
    else:
        log.close()


def test_what_was_committed_before_the_end_is_kept_however_many_commit_while_the_store_is_closed(store: Path) -> None:
    """Each commits on and on in its loop, by the shortest way, until it is refused."""
    for round_ in range(5):
        log = eventlog.open(store, fsync="never")
        consumer = log.consumer(group=f"{GROUP}-{round_}")
        consumer.assign([PLACE])
        begun = threading.Event()
        last = [0]

        def commit_on_and_on(consumer: Consumer = consumer, begun: threading.Event = begun, last: list[int] = last) -> None:
            commit = next(iter(consumer.core.assignment.partitions.values())).try_commit
            assert commit is not None
            for offset in range(1, 10**6):
                if not commit(offset):
                    return
                last[0] = offset
                begun.set()

        thread = threading.Thread(target=commit_on_and_on)
        thread.start()
        begun.wait()
        log.close()
        thread.join()
        with eventlog.open(store, fsync="never") as again:
            assert again.group(f"{GROUP}-{round_}").committed() == {PLACE: last[0]}


def test_a_close_that_could_not_leave_is_done_again(store: Path) -> None:
    """A process that is stopped inside a change of the catalog keeps the consumer from leaving."""
    with eventlog.open(store, fsync="never", lock_timeout_ms=200) as log:
        consumer = log.consumer(TOPIC, group=GROUP)
        consumer.poll()
        consumer.commit({PLACE: 3})
        with Interpreter(workers.hold_catalog, store) as holder:
            assert holder.receive() == "held"
            holder.stop()
            for _ in range(2):
                with pytest.raises(eventlog.LockTimeoutError):
                    consumer.close()
            with pytest.raises(eventlog.StoreClosedError):
                consumer.poll()
            holder.resume()
            holder.send("give it back")
            holder.join()
        consumer.close()
        assert log.group(GROUP).describe().members == ()
        with log.consumer(TOPIC, group=GROUP) as other:
            assert other.poll(timeout=0)[0].offset == 3


@pytest.mark.parametrize("method", ["revoked", "lost"])
def test_what_a_listener_raises_in_the_end_keeps_nobody_in_the_group(store: Path, method: str) -> None:
    class Failing(RebalanceListener):
        pass

    def fail(self: Failing, partitions: Sequence[TopicPartition]) -> None:
        raise KeyboardInterrupt

    setattr(Failing, method, fail)
    with eventlog.open(store, fsync="never") as log:
        consumer = log.consumer(TOPIC, group=GROUP, listener=Failing())
        consumer.poll()
        consumer.commit({PLACE: 3})
        if method == "lost":
            log.group(GROUP).reset({PLACE: 3})
        with pytest.raises(KeyboardInterrupt):
            consumer.close()
        consumer.close()
        assert log.group(GROUP).describe().members == ()
