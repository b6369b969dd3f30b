"""How `eventlog topics describe` shows a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlog.cli import output

if TYPE_CHECKING:
    from eventlog import PartitionOverview, TopicOverview

_PARTITION_HEADERS = ("PARTITION", "START", "END", "RECORDS", "SEGMENTS", "SIZE", "RATE", "NEWEST")


def topic_object(overview: TopicOverview) -> dict[str, Any]:
    """What JSON has of a topic beyond its description."""
    return {
        "settings": dict(overview.settings),
        "segments": overview.segments,
        "records": overview.records,
        "size_bytes": overview.size_bytes,
        "records_per_second": overview.records_per_second,
        "oldest_timestamp": overview.oldest_ms,
        "newest_timestamp": overview.newest_ms,
        "groups": [{"group": each.name, "members": each.members, "lag": each.lag} for each in overview.groups],
        "offsets": [_partition_object(partition) for partition in overview.partitions],
    }


def _partition_object(partition: PartitionOverview) -> dict[str, Any]:
    return {
        "partition": partition.partition,
        **partition.offsets._asdict(),
        "records": partition.records,
        "segments": partition.size.segments,
        "size_bytes": partition.size.size_bytes,
        "records_per_second": partition.records_per_second,
        "oldest_timestamp": partition.oldest_ms,
        "newest_timestamp": partition.newest_ms,
    }


def write_topic(overview: TopicOverview) -> None:
    """Print a topic as text: a summary, its partitions, its groups, its settings."""
    description = overview.description
    rate = output.count_text(overview.records_per_second)
    for name, value in (
        ("topic", description.name),
        ("created", output.time_text(description.created_ms)),
        ("partitions", description.partitions),
        ("segments", overview.segments),
        ("records", output.count_text(overview.records)),
        ("size", output.bytes_text(overview.size_bytes)),
        ("rate", "-" if rate is None else f"{rate} records/s in the last minute"),
        ("oldest", _time_text(overview.oldest_ms) or "-"),
        ("newest", _time_text(overview.newest_ms) or "-"),
    ):
        output.write_line(f"{name:<12}{value}")
    output.write_line("")
    output.write_table(_PARTITION_HEADERS, [_partition_row(partition) for partition in overview.partitions])
    if overview.groups:
        output.write_line("")
        rows = [(each.name, each.members, output.count_text(each.lag)) for each in overview.groups]
        output.write_table(["GROUP", "MEMBERS", "LAG"], rows)
    output.write_line("")
    given = description.config
    settings = [(name, value, "given" if name in given else "default") for name, value in overview.settings.items()]
    output.write_table(["SETTING", "VALUE", "FROM"], settings)


def _partition_row(partition: PartitionOverview) -> tuple[object, ...]:
    return (
        partition.partition,
        partition.offsets.start_offset,
        partition.offsets.end_offset,
        output.count_text(partition.records),
        partition.size.segments,
        output.bytes_text(partition.size.size_bytes),
        output.count_text(partition.records_per_second),
        _time_text(partition.newest_ms, to_the="second"),
    )


def _time_text(timestamp_ms: int | None, to_the: str = "millisecond") -> str | None:
    if timestamp_ms is None:
        return None
    text = output.time_text(timestamp_ms)
    return text[:19] + "Z" if to_the == "second" and text.endswith("Z") else text
