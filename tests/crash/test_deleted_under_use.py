"""One shared file is deleted while processes go by it: nobody begins another one beside them, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import Consumer, EventLog, StoreReplacedError, TopicPartition
from tests.support import members, stores, workers
from tests.support.processes import Worker
from tests.support.stores import TOPIC

GROUP = "billing"
PLACE = TopicPartition(TOPIC, 0)
UNHURRIED = {"fsync_interval_ms": 600_000}  # who has the file open does not notice by itself


def values(store: Path) -> list[bytes | None]:
    with eventlog.open(store) as log:
        return [record.value for record in stores.everything(stores.open_partition(log))]


def test_a_partition_whose_head_was_deleted_gets_no_other_head_while_a_process_appends_to_it(store: Path) -> None:
    with Worker(workers.append_when_told, store, UNHURRIED) as writer:
        assert writer.receive() == "ready"
        writer.send(b"before")
        assert writer.receive()[0] == 0
        stores.head_file(store).unlink()
        with eventlog.open(store, lock_timeout_ms=100) as log:
            for _ in range(2):  # also once a new file is there
                with pytest.raises(StoreReplacedError, match=rf"events-0.head.* open in process {writer.pid}\b"):
                    log.partition(TOPIC, 0)
        writer.send(b"behind")
        assert writer.receive()[0] == 1
        writer.send(None)
        writer.drain()
    assert values(store) == [b"before", b"behind"]


def test_a_process_that_is_killed_keeps_nobody_from_beginning_another_head(store: Path) -> None:
    with Worker(workers.append_when_told, store, UNHURRIED) as writer:
        assert writer.receive() == "ready"
        writer.send(b"before")
        assert writer.receive()[0] == 0
        stores.head_file(store).unlink()
        writer.kill()
    assert values(store) == [b"before"]


def test_who_opens_a_partition_whose_head_was_deleted_waits_until_those_who_use_it_notice(store: Path) -> None:
    with Worker(workers.append_when_told, store, {"fsync_interval_ms": 100}) as writer:
        assert writer.receive() == "ready"
        writer.send(b"before")
        assert writer.receive()[0] == 0
        stores.head_file(store).unlink()
        assert values(store) == [b"before"]
        writer.send(b"behind")
        assert writer.receive()[0] == "StoreReplacedError"
        writer.send(None)
    assert values(store) == [b"before"]


def test_a_second_handle_in_one_process_begins_no_other_head_either(store: Path) -> None:
    with eventlog.open(store, fsync_interval_ms=600_000) as log, eventlog.open(store, lock_timeout_ms=50) as other:
        partition = stores.open_partition(log)
        partition.append(b"before")
        stores.head_file(store).unlink()
        with pytest.raises(StoreReplacedError, match="open in this process"):
            other.partition(TOPIC, 0)
        assert partition.append(b"behind") == 1
    assert values(store) == [b"before", b"behind"]


def test_a_topic_that_is_made_anew_has_nothing_to_do_with_who_uses_the_former_one(store: Path) -> None:
    with eventlog.open(store, fsync_interval_ms=600_000) as log, eventlog.open(store, lock_timeout_ms=50) as other:
        stores.open_partition(log).append(b"former")
        other.delete_topic(TOPIC)
        other.create_topic(TOPIC)
        other.partition(TOPIC, 0).append(b"new")
    assert values(store) == [b"new"]


@pytest.fixture
def owner(store: Path) -> Iterator[tuple[EventLog, Consumer]]:
    """A store with a member that owns a partition of ten records and has committed five of them."""
    with eventlog.open(store, fsync_interval_ms=600_000) as log:
        stores.open_partition(log).append_many([b"%d" % number for number in range(10)])
        with log.consumer(TOPIC, group=GROUP) as consumer:
            consumer.poll(10)
            consumer.commit({PLACE: 5})
            yield log, consumer


def committed(log: EventLog) -> int:
    return log.group(GROUP).committed()[PLACE]


@pytest.mark.parametrize("name", [f"{GROUP}.acks", "members"])
def test_nobody_joins_a_group_whose_shared_file_was_deleted_while_a_member_goes_by_it(
    store: Path, owner: tuple[EventLog, Consumer], name: str
) -> None:
    log, consumer = owner
    (store / "shared" / name).unlink()
    with eventlog.open(store) as other:
        for _ in range(2):
            with pytest.raises(StoreReplacedError, match=rf"shared/{name} was deleted"):
                other.consumer(TOPIC, group=GROUP).poll(0)
        consumer.commit({PLACE: 7})
        assert consumer.assignment() == {PLACE}
    log.close()  # now nobody is left who went by the deleted file
    with eventlog.open(store) as other, other.consumer(TOPIC, group=GROUP) as successor:
        assert committed(other) == 7
        assert [record.offset for record in successor.poll(10)] == [7, 8, 9]


@pytest.mark.parametrize("name", [f"{GROUP}.acks", "members"])
def test_a_member_hears_that_the_file_it_goes_by_was_deleted(store: Path, name: str) -> None:
    with eventlog.open(store, fsync_interval_ms=20) as log:
        stores.open_partition(log).append(b"x")
        consumer = log.consumer(TOPIC, group=GROUP)
        consumer.poll(10)
        (store / "shared" / name).unlink()
        with pytest.raises(StoreReplacedError, match=rf"shared/{name} was deleted"):
            stores.open_partition(log).wait(2**40)  # for ever, unless it is told
        with pytest.raises(StoreReplacedError):
            consumer.poll(10)


def test_a_member_in_another_process_keeps_its_partitions_though_the_file_of_members_was_deleted(store: Path) -> None:
    with Worker(members.own_everything, store, GROUP, "first") as owner:
        assert owner.receive() == 1
        (store / "shared" / "members").unlink()
        with eventlog.open(store) as log:
            with pytest.raises(StoreReplacedError, match=rf"open in process {owner.pid}\b"):
                log.consumer(TOPIC, group=GROUP).poll(0)
            owner.kill()
            with log.consumer(TOPIC, group=GROUP) as successor:
                successor.poll(0)
