"""What the servers of a store do, from their counters: in total, and between two samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eventlog.storage.mapped.server_counters import LATENCY_BUCKETS, ApiCounters, ServerCounters


class ApiActivity(NamedTuple):
    """The requests of one API, such as "Fetch", to one server.

    The rates are those since the earlier sample, None without one. `median_seconds` and `slow_seconds` are times that half of
    the requests, and all but one in a hundred, did not exceed, since the earlier sample or else since the server started; None
    if there were none. They include the time for which a request waits, such as a fetch for records."""

    name: str
    requests: int
    requests_per_second: float | None
    bytes_in_per_second: float | None
    bytes_out_per_second: float | None
    median_seconds: float | None
    slow_seconds: float | None


class ServerActivity(NamedTuple):
    """A running server: its number, its process, when it started (ms since the epoch), and how many clients are connected.

    `requests`, `refused` connections, connections that `failed` because of what the client sent, requests that were `throttled`
    because the memory for them was used up, and `errors` told to clients are counted since it started. The rates are those
    since the earlier sample, None without one."""

    number: int
    process_id: int
    started_ms: int
    connections: int
    requests: int
    refused: int
    failed: int
    throttled: int
    errors: int
    requests_per_second: float | None
    bytes_in_per_second: float | None
    bytes_out_per_second: float | None
    errors_per_second: float | None
    apis: tuple[ApiActivity, ...]


_NONE = ApiCounters(0, 0.0, 0, 0, (0,) * LATENCY_BUCKETS)


def server_activity(now: ServerCounters, then: ServerCounters | None, seconds: float | None) -> ServerActivity:
    """A server at one moment, with its rates since an earlier one that is `seconds` back; None: there is none."""
    if then is None or (then.process_id, then.started_ms) != (now.process_id, now.started_ms):
        then = None
    apis_then: Mapping[str, ApiCounters] = {} if then is None else then.apis
    known_seconds = None if then is None else seconds
    apis = tuple(
        _api_activity(name, api, apis_then.get(name, _NONE), known_seconds) for name, api in sorted(now.apis.items())
    )
    errors = sum(now.errors.values())
    new_errors = errors - (0 if then is None else sum(then.errors.values()))
    return ServerActivity(
        now.number, now.process_id, now.started_ms, now.connections, sum(api.requests for api in apis), now.refused, now.failed,
        now.throttled, errors,
        _total([api.requests_per_second for api in apis], known_seconds),
        _total([api.bytes_in_per_second for api in apis], known_seconds),
        _total([api.bytes_out_per_second for api in apis], known_seconds),
        None if known_seconds is None else new_errors / known_seconds,
        apis,
    )  # fmt: skip


def _total(rates: list[float | None], seconds: float | None) -> float | None:
    return None if seconds is None else sum(rate or 0.0 for rate in rates)


def _api_activity(name: str, now: ApiCounters, then: ApiCounters, seconds: float | None) -> ApiActivity:
    def rate(count: int) -> float | None:
        return None if seconds is None else count / seconds

    latencies = [after - before for after, before in zip(now.latencies, then.latencies, strict=True)]
    return ApiActivity(
        name,
        now.requests,
        rate(now.requests - then.requests),
        rate(now.bytes_in - then.bytes_in),
        rate(now.bytes_out - then.bytes_out),
        _quantile(latencies, 0.5),
        _quantile(latencies, 0.99),
    )


def _quantile(latencies: list[int], share: float) -> float | None:
    """The upper end in seconds of the bucket with this share of the requests before its end."""
    wanted, seen = share * sum(latencies), 0
    for bucket, count in enumerate(latencies):
        seen += count
        if count and seen >= wanted:
            return bucket_seconds(bucket)
    return None


def bucket_seconds(bucket: int) -> float:
    """Requests in this bucket, or an earlier one, took less time than this; the last bucket has no end, and counts as the next
    power of two."""
    return 2.0**bucket / 1e6
