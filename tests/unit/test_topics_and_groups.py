"""What groups hold of a topic, what becomes of them when it is deleted, and when nobody uses them any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, StaleMemberError, TopicNotFoundError, TopicPartition
from eventlog.clock import now_ms
from eventlog.groups.deleted_topics import remove_topic_from_groups
from eventlog.groups.expiry import expire_groups
from eventlog.groups.registry import Groups
from eventlog.groups.retention import committed_by_group
from eventlog.options import TopicConfig
from eventlog.storage.mapped.limits import native_limits
from eventlog.storage.partition import open_partition

TOPIC = "events"
OTHER = "others"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as opened:
        for topic in (TOPIC, OTHER):
            opened.create_topic(topic, partitions=2)
            for number in range(2):
                opened.partition(topic, number).append_many([b"x"] * 10)
        yield opened


@pytest.fixture
def groups(log: EventLog) -> Iterator[Groups]:
    opened = Groups(log.store)
    yield opened
    opened.close()


def commit(log: EventLog, group: str, offsets: dict[TopicPartition, int]) -> None:
    with log.consumer(group=group) as consumer:
        consumer.assign(list(offsets))
        consumer.commit(offsets)


def test_every_group_that_has_a_part_in_the_topic_holds_it(log: EventLog, groups: Groups) -> None:
    commit(log, "past", {TopicPartition(TOPIC, 1): 4})
    commit(log, "elsewhere", {TopicPartition(OTHER, 1): 4})
    with log.consumer(TOPIC, group="present") as consumer:
        consumer.poll(max_records=1)
        assert committed_by_group(groups, TOPIC) == {0: {"present": None}, 1: {"past": 4, "present": None}}
        consumer.commit({TopicPartition(TOPIC, 0): 1})
        assert committed_by_group(groups, TOPIC)[0] == {"present": 1}
    assert committed_by_group(groups, "nothing") == {}


def test_a_static_member_holds_its_topic_while_it_is_away(log: EventLog, groups: Groups) -> None:
    commit(log, "group", {TopicPartition(OTHER, 0): 4})
    with log.consumer(TOPIC, group="group", instance_id="one") as consumer:
        consumer.poll(max_records=1)
    assert committed_by_group(groups, TOPIC) == {0: {"group": None}, 1: {"group": None}}


def test_a_forgotten_topic_has_no_offsets_and_a_late_commit_is_refused(log: EventLog, groups: Groups) -> None:
    kept = {TopicPartition(OTHER, 0): 5}
    commit(log, "group", {TopicPartition(TOPIC, 1): 3, **kept})
    with log.consumer([TOPIC, OTHER], group="group") as consumer:
        consumer.poll(max_records=100)
        generation = log.group("group").describe().generation
        remove_topic_from_groups(groups, TOPIC)
        with pytest.raises(StaleMemberError):
            consumer.commit({TopicPartition(TOPIC, 0): 10})
        assert log.group("group").committed() == kept
        assert log.group("group").describe().generation > generation
    assert committed_by_group(groups, TOPIC) == {}
    assert committed_by_group(groups, OTHER)[0] == {"group": 5}
    with log.consumer(TOPIC, group="group") as consumer:
        assert {record.offset for record in consumer.poll(max_records=1)} == {0}


def test_groups_expire_once_nobody_is_in_them_and_the_time_is_over(log: EventLog, groups: Groups) -> None:
    commit(log, "past", {TopicPartition(TOPIC, 0): 4})
    with log.consumer(TOPIC, group="away", instance_id="one") as consumer:
        consumer.poll(max_records=1)
    with log.consumer(TOPIC, group="present") as consumer:
        consumer.poll(max_records=1)
        assert expire_groups(groups, now_ms()) == []  # nothing is that old
        assert expire_groups(groups, -60_000) == ["past"]  # whatever was used up to a minute from now
        assert log.groups() == ["away", "present"]


def deleting_in_between(monkeypatch: pytest.MonkeyPatch, log: EventLog, topic: str, *, is_made_anew: bool) -> None:
    """Once: have the topic deleted after it was found, and before its partition is open."""

    def delete_first(settings: TopicConfig) -> Any:
        monkeypatch.undo()
        log.delete_topic(topic)
        if is_made_anew:
            log.create_topic(topic, partitions=2)
        return native_limits(settings)

    monkeypatch.setattr(open_partition, "native_limits", delete_first)


def test_a_topic_that_is_deleted_while_its_partition_is_opened_is_not_there(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(log.path) as other:
        deleting_in_between(monkeypatch, log, TOPIC, is_made_anew=False)
        with pytest.raises(TopicNotFoundError):
            other.partition(TOPIC, 0)


def test_a_topic_that_is_made_anew_while_its_partition_is_opened_is_opened_anew(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(log.path) as other:
        deleting_in_between(monkeypatch, log, TOPIC, is_made_anew=True)
        assert other.partition(TOPIC, 1).append(b"new") == 0


def test_a_backup_starts_again_where_a_topic_is_deleted_meanwhile(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(log.path) as other:
        deleting_in_between(monkeypatch, log, TOPIC, is_made_anew=False)
        assert other.backup(tmp_path / "backup").topics == 1
