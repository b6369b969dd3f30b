"""A store as numbers for monitoring: counters and gauges with labels, and Prometheus' text format for them.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from eventlog.clock import now_ms
from eventlog.counters import FLUSH_SECONDS, FLUSHES, RECOVERIES, counted
from eventlog.errors import TopicNotFoundError
from eventlog.groups.progress import progress_of
from eventlog.groups.registry import Groups
from eventlog.groups.snapshot import take_snapshot
from eventlog.log import Log
from eventlog.logs import WARNINGS
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.bridge_status import read_bridge_statuses
from eventlog.storage.mapped.server_counters import ServerCounters, read_counters
from eventlog.storage.segments import files, names
from eventlog.storage.segments.epochs import read_epochs
from eventlog.views.groups import read_all_offsets, summarize_groups
from eventlog.views.servers import bucket_seconds


class Sample(NamedTuple):
    """One value of a metric. `labels` say of what, such as {"topic": "orders", "partition": "0"}."""

    labels: Mapping[str, str]
    value: int | float


class Metric(NamedTuple):
    """A metric with all its samples. A counter only grows, unless something is deleted and created again."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[Sample, ...]


class Metrics(Mapping[str, Metric]):
    """The metrics of a store at one moment, by name."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def __repr__(self) -> str:
        return f"<Metrics {', '.join(self._metrics)}>"

    def prometheus(self) -> str:
        """All of them in Prometheus' text format, version 0.0.4."""
        lines = []
        for metric in self.values():
            lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            for labels, value in metric.samples:
                pairs = ",".join(f'{name}="{_escaped_label(text)}"' for name, text in labels.items())
                lines.append(f"{metric.name}{{{pairs}}} {value}" if pairs else f"{metric.name} {value}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped_label(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


# Prometheus wants a metric's name to end with its unit, and a counter's with _total.
_METRICS: tuple[tuple[str, Literal["counter", "gauge"], str], ...] = (
    ("eventlog_topic_appended_records_total", "counter", "Records that were ever appended to the topic."),
    ("eventlog_partition_start_offset", "gauge", "Offset of the first record that is still there."),
    ("eventlog_partition_end_offset", "gauge", "Offset that the next record gets."),
    ("eventlog_partition_durable_offset", "gauge", "Offset before which every record is on disk."),
    ("eventlog_partition_size_bytes", "gauge", "Bytes of batches in the partition."),
    ("eventlog_partition_segments", "gauge", "Segments of the partition."),
    ("eventlog_partition_leader_epoch", "gauge", "Grows when recovery has cut off a torn tail."),
    ("eventlog_group_members", "gauge", "Live members of the consumer group."),
    ("eventlog_group_generation", "gauge", "Generation of the consumer group; grows when partitions change hands."),
    ("eventlog_group_rebalances_total", "counter", "Generations that the group has had."),
    ("eventlog_group_committed_offset", "gauge", "Offset before which the group has acknowledged every record."),
    ("eventlog_group_lag_records", "gauge", "Records behind the committed offset of the group."),
    ("eventlog_group_lag_bytes", "gauge", "Bytes of batches behind the committed offset of the group."),
    ("eventlog_group_lag_seconds", "gauge", "Age of the oldest record that the group has not acknowledged; 0 without lag."),
    ("eventlog_open_transactions", "gauge", "Transactions of producers that have not ended."),
    ("eventlog_oldest_open_transaction_seconds", "gauge", "How long the oldest of them has been open; 0 without any."),
    ("eventlog_server_connections", "gauge", "Connections of clients to the server."),
    ("eventlog_server_accepted_connections_total", "counter", "Connections that the server accepted."),
    ("eventlog_server_refused_connections_total", "counter", "Connections refused because there were too many."),
    ("eventlog_server_failed_connections_total", "counter", "Connections that the server closed because of what clients sent."),
    ("eventlog_server_throttled_requests_total", "counter", "Requests that had to wait because memory was used up."),
    ("eventlog_server_errors_total", "counter", "Errors that the server told clients, by Kafka's names."),
    ("eventlog_server_requests_total", "counter", "Requests that the server answered."),
    ("eventlog_server_request_bytes_total", "counter", "Bytes of requests."),
    ("eventlog_server_response_bytes_total", "counter", "Bytes of answers."),
    ("eventlog_server_request_seconds_total", "counter", "Time that answering took, with the time that requests wait."),
    ("eventlog_server_request_seconds_bucket", "counter", "Requests that took no longer than le seconds."),
    ("eventlog_bridge_connected", "gauge", "1 while the bridge is connected to the other system, else 0."),
    ("eventlog_bridge_in_flight", "gauge", "Records that were sent, or received, and are not settled."),
    ("eventlog_bridge_source_depth", "gauge", "Messages that wait in the other system."),
    ("eventlog_bridge_records_total", "counter", "Records that the other system has confirmed, or that were collected."),
    ("eventlog_bridge_bytes_total", "counter", "Bytes of their keys and values."),
    ("eventlog_bridge_refused_total", "counter", "Records that the other side did not take."),
    ("eventlog_bridge_recognised_total", "counter", "Records that were there already."),
    ("eventlog_bridge_reconnects_total", "counter", "How often the connection was lost, or could not be made."),
    ("eventlog_catalog_size_bytes", "gauge", "Bytes of the catalog of topics, groups and offsets."),
    ("eventlog_disk_free_bytes", "gauge", "Bytes that may still be written to the file system of the store."),
    ("eventlog_disk_size_bytes", "gauge", "Bytes of the file system of the store."),
    ("eventlog_process_open_partitions", "gauge", "Partitions that this process has open."),
    ("eventlog_process_open_clients", "gauge", "Producers and consumers of this process."),
    ("eventlog_process_flushes_total", "counter", "Flushes of partitions that this process waited for."),
    ("eventlog_process_flush_seconds_total", "counter", "Time that they took."),
    ("eventlog_process_recoveries_total", "counter", "Partitions that this process has checked after a crash, by outcome."),
    ("eventlog_process_warnings_total", "counter", "Warnings and errors that this process has logged, by logger."),
)


class _Samples:
    """Collects samples by the name of their metric."""

    def __init__(self) -> None:
        self._found: dict[str, list[Sample]] = {name: [] for name, _, _ in _METRICS}

    def add(self, name: str, value: int | float, labels: Mapping[str, str]) -> None:
        """Add one; metrics without the prefix that all share."""
        self._found[f"eventlog_{name}"].append(Sample(labels, value))

    def metrics(self) -> Metrics:
        """All of them, those without a sample, too."""
        return Metrics({name: Metric(name, kind, text, tuple(self._found[name])) for name, kind, text in _METRICS})


def take_metrics(log: Log, groups: Groups, *, open_partitions: int, open_clients: int) -> Metrics:
    """The metrics as they are now."""
    samples = _Samples()
    offsets = read_all_offsets(log)
    for topic, of_topic in offsets.items():
        samples.add("topic_appended_records_total", sum(each.end_offset for each in of_topic), {"topic": topic})
        for number, each in enumerate(of_topic):
            labels = {"topic": topic, "partition": str(number)}
            samples.add("partition_start_offset", each.start_offset, labels)
            samples.add("partition_end_offset", each.end_offset, labels)
            samples.add("partition_durable_offset", each.durable_offset, labels)
            epochs = read_epochs(names.partition_directory(log.store.path, topic, number))
            samples.add("partition_leader_epoch", epochs[-1][0] if epochs else 0, labels)
        _add_sizes(samples, log, topic)
    for summary in summarize_groups(groups, offsets):
        group = summary.description
        samples.add("group_members", len(group.members), {"group": group.name})
        samples.add("group_generation", group.generation, {"group": group.name})
        samples.add("group_rebalances_total", group.generation, {"group": group.name})
        for partition, offset in summary.committed.items():
            samples.add("group_committed_offset", offset, _labels(group.name, partition))
        for partition, lag in summary.lag.items():
            samples.add("group_lag_records", lag, _labels(group.name, partition))
        _add_lag(samples, groups, group.name)
    started = [state.started_ms or state.updated_ms for state in log.store.catalog.transactions.all() if state.is_open]
    samples.add("open_transactions", len(started), {})
    samples.add("oldest_open_transaction_seconds", max(0, now_ms() - min(started)) / 1000 if started else 0, {})
    for server in read_counters(log.store.path):
        _add_server(samples, server)
    for bridge in read_bridge_statuses(log.store.path):
        _add_bridge(samples, bridge)
    _add_disk(samples, log)
    samples.add("process_open_partitions", open_partitions, {})
    samples.add("process_open_clients", open_clients, {})
    _add_counts(samples)
    return samples.metrics()


def _add_lag(samples: _Samples, groups: Groups, group: str) -> None:
    snapshot = take_snapshot(groups, group)
    for partition, progress in progress_of(groups.store, snapshot, ()).items() if snapshot is not None else ():
        if progress.lag_bytes is not None:
            samples.add("group_lag_bytes", progress.lag_bytes, _labels(group, partition))
        if progress.lag_seconds is not None:
            samples.add("group_lag_seconds", progress.lag_seconds, _labels(group, partition))


def _add_counts(samples: _Samples) -> None:
    samples.add("process_flushes_total", int(counted(FLUSHES).get("", 0)), {})
    samples.add("process_flush_seconds_total", counted(FLUSH_SECONDS).get("", 0), {})
    for outcome, count in sorted(counted(RECOVERIES).items()):
        samples.add("process_recoveries_total", int(count), {"outcome": outcome})
    for logger, count in sorted(counted(WARNINGS).items()):
        samples.add("process_warnings_total", int(count), {"logger": logger})


def _add_sizes(samples: _Samples, log: Log, topic: str) -> None:
    with suppress(TopicNotFoundError):  # deleted meanwhile
        for number, size in enumerate(log.sizes(topic)):
            labels = {"topic": topic, "partition": str(number)}
            samples.add("partition_size_bytes", size.size_bytes, labels)
            samples.add("partition_segments", size.segments, labels)


def _add_server(samples: _Samples, server: ServerCounters) -> None:
    number = {"server": str(server.number)}
    samples.add("server_connections", server.connections, number)
    samples.add("server_accepted_connections_total", server.accepted, number)
    samples.add("server_refused_connections_total", server.refused, number)
    samples.add("server_failed_connections_total", server.failed, number)
    samples.add("server_throttled_requests_total", server.throttled, number)
    for name, count in sorted(server.errors.items()):
        samples.add("server_errors_total", count, {**number, "error": name})
    for name, api in sorted(server.apis.items()):
        labels = {**number, "api": name}
        samples.add("server_requests_total", api.requests, labels)
        samples.add("server_request_bytes_total", api.bytes_in, labels)
        samples.add("server_response_bytes_total", api.bytes_out, labels)
        samples.add("server_request_seconds_total", api.seconds, labels)
        count = 0
        for bucket, more in enumerate(api.latencies[:-1]):
            count += more
            samples.add("server_request_seconds_bucket", count, {**labels, "le": str(bucket_seconds(bucket))})
        samples.add("server_request_seconds_bucket", api.requests, {**labels, "le": "+Inf"})


def _add_bridge(samples: _Samples, bridge: Mapping[str, Any]) -> None:
    names = {"bridge": "url", "direction": "direction", "system": "system", "topic": "topic", "process": "process_id"}
    labels = {label: str(bridge.get(field, "")) for label, field in names.items()}
    samples.add("bridge_connected", int(bridge.get("state") == "running"), labels)
    samples.add("bridge_in_flight", bridge.get("in_flight", 0), labels)
    if bridge.get("depth") is not None:
        samples.add("bridge_source_depth", bridge["depth"], labels)
    for name in ("records", "bytes", "refused", "recognised", "reconnects"):
        samples.add(f"bridge_{name}_total", bridge.get(name, 0), labels)


def _labels(group: str, partition: TopicPartition) -> dict[str, str]:
    return {"group": group, "topic": partition.topic, "partition": str(partition.partition)}


def _add_disk(samples: _Samples, log: Log) -> None:
    path = log.store.path
    catalog = names.catalog_directory(path)
    samples.add("catalog_size_bytes", sum(files.size_of(each) for each in catalog.glob("*.mdb")), {})
    disk = os.statvfs(path)
    samples.add("disk_free_bytes", disk.f_bavail * disk.f_frsize, {})
    samples.add("disk_size_bytes", disk.f_blocks * disk.f_frsize, {})
