"""What the page of `eventlog web` asks for, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli.parsing import OFFSET_MAX, start_type
from eventlog.cli.screens.activity import lag_colour
from eventlog.cli.screens.content import Content, preview
from eventlog.cli.screens.history import Snapshot
from eventlog.cli.screens.model import (
    Page,
    RecordView,
    read_group,
    read_page,
    read_page_before,
    read_record,
    read_topic,
    search_page,
)

if TYPE_CHECKING:
    from eventlog import EventLog, Progress, TopicPartition

NAMES_MAX = 500  # a page with more of them would be slow, and nobody would read it
_PARTITIONS_MAX = 2000
_COUNT_MAX = 200
_SEARCH_SECONDS = 1.0

Fields = Mapping[str, str]


class BadRequestError(Exception):
    """A field is missing, or is not what it has to be."""


def snapshot_object(snapshot: Snapshot, seconds: float, *, has_past: bool) -> dict[str, Any]:
    """A sample of all topics and groups; with `has_past` also the values before. The names that are left out are counted."""
    activity = snapshot.activity

    def values(series: Sequence[float | None]) -> Sequence[float | None]:
        return series if has_past else series[-1:]

    return {
        "time": activity.time_ms,
        "seconds": seconds,
        "topics": [
            {**each._asdict(), "rates": values(snapshot.topic_rates[each.name])} for each in activity.topics[:NAMES_MAX]
        ],
        "groups": [
            {
                **each._asdict(),
                "colour": lag_colour(each),
                "lags": values(snapshot.group_lags[each.name]),
                "rates": values(snapshot.group_rates[each.name]),
            }
            for each in activity.groups[:NAMES_MAX]
        ],
        "topics_left_out": max(0, len(activity.topics) - NAMES_MAX),
        "groups_left_out": max(0, len(activity.groups) - NAMES_MAX),
    }


def _topic(log: EventLog, fields: Fields) -> dict[str, Any]:
    topic = read_topic(log, _text(fields, "topic"))
    return {
        "topic": topic.name,
        "partitions": [each._asdict() for each in topic.partitions[:_PARTITIONS_MAX]],
        "config": dict(topic.config),
        "groups": [{"group": name, "lag": lag} for name, lag in topic.groups],
    }


def _group(log: EventLog, fields: Fields) -> dict[str, Any]:
    group = read_group(log, _text(fields, "group"))
    owners = {partition: member.member_id for member in group.members for partition in member.partitions}
    return {
        "group": group.name,
        "generation": group.generation,
        "assignor": group.assignor,
        "members": len(group.members),
        "partitions": [
            _progress(partition, progress, owners.get(partition))
            for partition, progress in group.partitions[:_PARTITIONS_MAX]
        ],
    }


def _progress(partition: TopicPartition, progress: Progress, owner: str | None) -> dict[str, Any]:
    return {
        **partition._asdict(),
        "committed": progress.committed,
        "end": progress.end_offset,
        "lag": progress.lag,
        "lag_bytes": progress.lag_bytes,
        "lag_seconds": progress.lag_seconds,
        "catch_up_seconds": progress.catch_up_seconds,
        "member": owner,
    }


def _records(log: EventLog, fields: Fields) -> dict[str, Any]:
    """A page from `from` on (an offset or a time), or before `before`; without both, the last one."""
    topic, partition, count = _text(fields, "topic"), _number(fields, "partition"), _count(fields)
    if "from" in fields:
        try:
            start = start_type(fields["from"].strip())
        except click.BadParameter as error:
            raise BadRequestError(error.message) from None
        return _page(read_page(log, topic, partition, start.resolve(log.partition(topic, partition)), count))
    before = _number(fields, "before") if "before" in fields else OFFSET_MAX
    return _page(read_page_before(log, topic, partition, before, count))


def _search(log: EventLog, fields: Fields) -> dict[str, Any]:
    topic, partition, text = _text(fields, "topic"), _number(fields, "partition"), _text(fields, "text")
    first, count = _number(fields, "from") if "from" in fields else 0, _count(fields)
    return _page(search_page(log, topic, partition, text, first, count, seconds_max=_SEARCH_SECONDS))


def _record(log: EventLog, fields: Fields) -> dict[str, Any]:
    found = read_record(log, _text(fields, "topic"), _number(fields, "partition"), _number(fields, "offset"))
    return {"record": None if found is None else _record_object(found)}


ANSWERS: Mapping[str, Callable[[EventLog, Fields], dict[str, Any]]] = {
    "topic": _topic,
    "group": _group,
    "records": _records,
    "search": _search,
    "record": _record,
}


def _page(page: Page) -> dict[str, Any]:
    return {**page._asdict(), "records": [_record_object(record) for record in page.records]}


def _record_object(record: RecordView) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _content(record.key),
        "value": _content(record.value),
        "headers": [[name, _content(value)] for name, value in record.headers],
        "headers_left_out": record.headers_left_out,
    }


def _content(content: Content | None) -> dict[str, Any] | None:
    return None if content is None else content._asdict()


def _text(fields: Fields, name: str) -> str:
    if name not in fields:
        raise BadRequestError(f"{name} is missing")
    return fields[name]


def _number(fields: Fields, name: str) -> int:
    text = _text(fields, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= OFFSET_MAX):
        shown = preview(text.encode("utf-8", "surrogateescape"), 40)
        raise BadRequestError(f"{name} must be a number, not {shown.text if shown else ''!r}")
    return int(text)


def _count(fields: Fields) -> int:
    count = _number(fields, "count") if "count" in fields else 50
    if not 1 <= count <= _COUNT_MAX:
        raise BadRequestError(f"count must be from 1 to {_COUNT_MAX}")
    return count
