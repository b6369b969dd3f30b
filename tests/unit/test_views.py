"""What people and monitoring look at: `describe_topic`, `activity`, `metrics`."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import eventlog
from eventlog import EventLog, InvalidTypeError, Metric, Metrics, Sample, TopicGroup, TopicNotFoundError, TopicPartition
from tests.support import stores
from tests.support.stores import TOPIC

FAR_AHEAD_MS = 4_000_000_000_000
PLACE = TopicPartition(TOPIC, 0)


def commit(log: EventLog, group: str, offset: int) -> None:
    """Let a group have committed this offset in partition 0."""
    with log.consumer(group=group) as consumer:
        consumer.assign([PLACE])
        consumer.seek(PLACE, offset)
        consumer.commit({PLACE: offset})


# --- a topic ---------------------------------------------------------------------------------------------------


def test_a_topic_is_described_with_its_partitions_and_their_sizes(tmp_path: Path) -> None:
    with eventlog.open(tmp_path) as log:
        log.create_topic(TOPIC, 2, {"segment.bytes": 1024})
        for number in range(30):
            log.partition(TOPIC, 0).append(b"x" * 100, timestamp=1000 + number)
        topic = log.describe_topic(TOPIC)
        assert (topic.description, topic.settings["segment.bytes"]) == (log.topic(TOPIC), 1024)
        assert [each.offsets for each in topic.partitions] == log.offsets(TOPIC)
        assert [each.size for each in topic.partitions] == log.sizes(TOPIC)
        assert topic.segments == log.sizes(TOPIC)[0].segments + log.sizes(TOPIC)[1].segments > 3
        assert (topic.records, topic.oldest_ms, topic.newest_ms) == (30, 1000, 1029)
        assert topic.size_bytes == log.partition(TOPIC, 0).bytes_from(0)


def test_the_rate_is_that_of_the_last_minute_by_timestamps(log: EventLog) -> None:
    partition = stores.open_partition(log)
    assert log.describe_topic(TOPIC).records_per_second is None
    partition.append_many([b"old"] * 30, timestamps=[1000] * 30)
    assert log.describe_topic(TOPIC).records_per_second == 0.0
    partition.append_many([b"new"] * 120, timestamps=[FAR_AHEAD_MS] * 120)
    assert log.describe_topic(TOPIC).records_per_second == 2.0


def test_a_topic_names_the_groups_that_lag_and_those_that_subscribe(log: EventLog) -> None:
    log.create_topic("other")
    stores.open_partition(log).append_many([b"x"] * 10)
    commit(log, "behind", 4)
    commit(log, "done", 10)
    with log.consumer("other", group="elsewhere") as elsewhere, log.consumer(TOPIC, group="new") as new:
        elsewhere.poll(timeout=0)
        new.poll(timeout=0)
        assert log.describe_topic(TOPIC).groups == (
            TopicGroup("behind", 0, 6),
            TopicGroup("done", 0, 0),
            TopicGroup("new", 1, 10),
        )


def test_a_damaged_record_leaves_its_time_unknown_and_the_rest_known(store: Path) -> None:
    with eventlog.open(store) as log:
        stores.open_partition(log).append_many([b"x" * 100], timestamps=[1000])
        stores.open_partition(log).append_many([b"y" * 100], timestamps=[2000])
    [segment] = stores.segments(store)
    content = bytearray(segment.read_bytes())
    content[content.index(b"xxxx")] ^= 1
    segment.write_bytes(content)
    with eventlog.open(store) as log:
        topic = log.describe_topic(TOPIC)
        assert (topic.records, topic.oldest_ms) == (2, None)
        assert topic.groups == ()


def test_a_topic_that_is_not_there_cannot_be_described(log: EventLog) -> None:
    with pytest.raises(TopicNotFoundError, match="nothing"):
        log.describe_topic("nothing")


# --- activity --------------------------------------------------------------------------------------------------


def test_two_looks_tell_what_came_between_them(log: EventLog) -> None:
    partition = stores.open_partition(log)
    partition.append_many([b"x" * 100] * 10)
    first = log.activity()
    [topic] = first.topics
    assert (topic.name, topic.partitions, topic.records, topic.size_bytes) == (TOPIC, 1, 10, partition.bytes_from(0))
    assert (topic.records_per_second, topic.bytes_per_second) == (None, None)
    partition.append_many([b"x" * 100] * 30)
    [topic] = log.activity(first).topics
    assert topic.records == 40
    assert topic.records_per_second and topic.bytes_per_second
    # Both go by the same seconds, so that these do not matter.
    grown = partition.bytes_from(10)
    assert topic.bytes_per_second / topic.records_per_second == pytest.approx(grown / 30)


def test_two_looks_tell_how_long_a_group_needs(log: EventLog) -> None:
    partition = stores.open_partition(log)
    partition.append_many([b"x"] * 100)
    commit(log, "group", 10)
    first = log.activity()
    assert [(each.name, each.members, each.lag) for each in first.groups] == [("group", 0, 90)]
    assert (first.groups[0].records_per_second, first.groups[0].seconds_to_catch_up) == (None, None)
    commit(log, "group", 40)
    second = log.activity(first)
    [shrinking] = second.groups
    assert shrinking.lag == 60 and shrinking.records_per_second and shrinking.seconds_to_catch_up
    assert shrinking.seconds_to_catch_up * shrinking.records_per_second == pytest.approx(60)
    partition.append(b"x")
    [growing] = log.activity(second).groups
    assert (growing.lag, growing.records_per_second, growing.seconds_to_catch_up) == (61, 0.0, None)
    commit(log, "group", 101)
    [done] = log.activity().groups
    assert (done.lag, done.seconds_to_catch_up) == (0, 0.0)


def test_a_topic_that_came_between_two_looks_has_no_rate_yet(log: EventLog) -> None:
    first = log.activity()
    log.create_topic("another")
    rates = {topic.name: topic.records_per_second for topic in log.activity(first).topics}
    assert rates == {"another": None, TOPIC: 0.0}


def test_an_earlier_look_is_an_activity(log: EventLog) -> None:
    with pytest.raises(InvalidTypeError, match="earlier must be an Activity or None, not float"):
        log.activity(1.5)  # type: ignore[arg-type]


# --- metrics ---------------------------------------------------------------------------------------------------


def value(metrics: Metrics, name: str, **labels: str) -> int | float:
    [found] = [sample.value for sample in metrics[name].samples if sample.labels == labels]
    return found


def test_metrics_are_what_the_log_says(log: EventLog) -> None:
    partition = stores.open_partition(log)
    partition.append_many([b"x"] * 10)
    partition.flush()
    commit(log, "group", 4)
    metrics = log.metrics()
    of_partition = {"topic": TOPIC, "partition": "0"}
    assert value(metrics, "eventlog_topic_appended_records_total", topic=TOPIC) == 10
    assert value(metrics, "eventlog_partition_start_offset", **of_partition) == 0
    assert value(metrics, "eventlog_partition_end_offset", **of_partition) == 10
    assert value(metrics, "eventlog_partition_durable_offset", **of_partition) == 10
    assert value(metrics, "eventlog_partition_size_bytes", **of_partition) == partition.bytes_from(0)
    assert value(metrics, "eventlog_partition_segments", **of_partition) == 1
    assert value(metrics, "eventlog_group_committed_offset", group="group", **of_partition) == 4
    assert value(metrics, "eventlog_group_lag_records", group="group", **of_partition) == 6
    assert value(metrics, "eventlog_group_members", group="group") == 0
    assert value(metrics, "eventlog_process_open_partitions") == 1
    assert 0 < value(metrics, "eventlog_catalog_size_bytes") < value(metrics, "eventlog_disk_size_bytes")


def test_prometheus_own_parser_reads_the_text_back(log: EventLog) -> None:
    stores.open_partition(log).append(b"x")
    commit(log, "group", 1)
    metrics = log.metrics()
    parsed = list(text_string_to_metric_families(metrics.prometheus()))
    # The parser takes a counter's family without its suffix.
    assert {family.name for family in parsed} == {name.removesuffix("_total") for name in metrics}
    read_back = [(each.name, each.labels, each.value) for family in parsed for each in family.samples]
    assert read_back == [(name, sample.labels, sample.value) for name, metric in metrics.items() for sample in metric.samples]
    assert [(family.type, family.documentation) for family in parsed] == [(each.kind, each.help) for each in metrics.values()]


def test_labels_and_help_are_escaped() -> None:
    strange = 'a "quoted" \\ back\\nslash\nand a line'
    metric = Metric("eventlog_test", "gauge", "one \\ line\nand another", (Sample({"topic": strange}, 1.5),))
    [family] = text_string_to_metric_families(Metrics({metric.name: metric}).prometheus())
    assert family.documentation == metric.help
    assert [(each.labels, each.value) for each in family.samples] == [({"topic": strange}, 1.5)]
