"""The activity in a store as rows of text, in the order that the user wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlog.cli import output

if TYPE_CHECKING:
    from eventlog import Activity, GroupActivity, TopicActivity

TOPIC_HEADERS = ("TOPIC", "PARTITIONS", "RECORDS", "SIZE", "RECORDS/S", "BYTES/S")
GROUP_HEADERS = ("GROUP", "MEMBERS", "LAG", "RECORDS/S", "CATCH UP")
SERVER_HEADERS = ("SERVER", "CONNECTIONS", "REQUESTS/S", "IN/S", "OUT/S", "ERRORS/S", "THROTTLED", "REFUSED")
API_HEADERS = ("REQUEST", "SERVER", "REQUESTS/S", "IN/S", "OUT/S", "MEDIAN", "P99")


class Keys(NamedTuple):
    """What topics and groups are sorted by in one order."""

    topic: Callable[[TopicActivity], tuple[Any, ...]]
    group: Callable[[GroupActivity], tuple[Any, ...]]


def _by_bytes(topic: TopicActivity) -> tuple[Any, ...]:
    return -(topic.bytes_per_second or 0), -(topic.records_per_second or 0), topic.name


def _by_lag(group: GroupActivity) -> tuple[Any, ...]:
    return -(group.lag or 0), group.name


def _by_rate(each: TopicActivity | GroupActivity) -> tuple[Any, ...]:
    return -(each.records_per_second or 0), each.name


def _by_name(each: TopicActivity | GroupActivity) -> tuple[Any, ...]:
    return (each.name,)


ORDERS = {
    "activity": Keys(_by_bytes, _by_lag),
    "name": Keys(_by_name, _by_name),
    "rate": Keys(_by_rate, _by_rate),
    "size": Keys(lambda topic: (-(topic.size_bytes or 0), -topic.records, topic.name), _by_lag),
}


class Order(NamedTuple):
    """How topics and groups are sorted: a name of `ORDERS`, or the inverse of it."""

    name: str = "activity"
    is_inverted: bool = False

    def topics(self, activity: Activity) -> list[TopicActivity]:
        """The topics, sorted."""
        return sorted(activity.topics, key=ORDERS[self.name].topic, reverse=self.is_inverted)

    def groups(self, activity: Activity) -> list[GroupActivity]:
        """The groups, sorted."""
        return sorted(activity.groups, key=ORDERS[self.name].group, reverse=self.is_inverted)


def topic_row(topic: TopicActivity) -> tuple[object, ...]:
    """What `TOPIC_HEADERS` name."""
    return (
        topic.name,
        topic.partitions,
        output.count_text(topic.records),
        output.bytes_text(topic.size_bytes),
        output.count_text(topic.records_per_second),
        output.bytes_text(topic.bytes_per_second),
    )


def group_row(group: GroupActivity) -> tuple[object, ...]:
    """What `GROUP_HEADERS` name."""
    return (
        group.name,
        group.members,
        output.count_text(group.lag),
        output.count_text(group.records_per_second),
        output.seconds_text(group.seconds_to_catch_up),
    )


def lag_colour(group: GroupActivity) -> str:
    """How a lag is shown: green if there is none, yellow if it shrinks, and red if it does not; "" if nothing is known."""
    if group.lag is None or (group.lag > 0 and group.records_per_second is None):
        return ""
    return "green" if group.lag == 0 else "red" if group.seconds_to_catch_up is None else "yellow"


def server_rows(activity: Activity) -> list[Sequence[object]]:
    """What `SERVER_HEADERS` name, of each server."""
    return [
        (
            f"{server.number} (process {server.process_id})",
            server.connections,
            output.count_text(server.requests_per_second),
            output.bytes_text(server.bytes_in_per_second),
            output.bytes_text(server.bytes_out_per_second),
            output.count_text(server.errors_per_second),
            output.count_text(server.throttled),
            output.count_text(server.refused),
        )
        for server in activity.servers
    ]


def api_rows(activity: Activity) -> list[Sequence[object]]:
    """What `API_HEADERS` name, of the requests that the servers get, the most frequent ones first."""
    found = [(server.number, api) for server in activity.servers for api in server.apis]
    found.sort(key=lambda each: (-(each[1].requests_per_second or 0), -each[1].requests, each[0], each[1].name))
    return [
        (
            api.name,
            number,
            output.count_text(api.requests_per_second),
            output.bytes_text(api.bytes_in_per_second),
            output.bytes_text(api.bytes_out_per_second),
            _latency_text(api.median_seconds),
            _latency_text(api.slow_seconds),
        )
        for number, api in found
    ]


def _latency_text(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{1e6 * seconds:.0f} us" if seconds < 1e-3 else f"{1e3 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"
