"""What servers count, and that other processes see it: connections, requests, bytes, errors, latency."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, ServerActivity
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.connection import Limits
from eventlog.storage.mapped.server_counters import CountersWriter, read_counters
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server


async def _write(server: RunningServer) -> None:
    server.server.write_counters()


def activity_of(server: RunningServer, log: EventLog, earlier: eventlog.Activity | None = None) -> eventlog.Activity:
    """What another handle of the store sees."""
    server.run(_write(server))
    with eventlog.open(log.path) as other:
        return other.activity(earlier)


def only(activity: eventlog.Activity) -> ServerActivity:
    [server] = activity.servers
    return server


def test_requests_are_counted_by_their_api(log: EventLog, server: RunningServer, client: RawClient) -> None:
    client.metadata("orders")
    before = activity_of(server, log)
    assert only(before).requests == 1 and only(before).requests_per_second is None
    for _ in range(5):
        client.produce("orders", batch([b"x" * 1000]))
    after = only(activity_of(server, log, before))
    assert (after.process_id, after.connections, after.requests, after.errors) == (os.getpid(), 1, 6, 0)
    metadata, produce = after.apis
    assert (metadata.name, metadata.requests, produce.name, produce.requests) == ("Metadata", 1, "Produce", 5)
    assert metadata.requests_per_second == 0 and metadata.median_seconds is None
    assert (produce.requests_per_second or 0) > 0
    assert (produce.bytes_in_per_second or 0) > 1000 * (produce.requests_per_second or 0)
    assert 0 < (produce.median_seconds or 0) <= (produce.slow_seconds or 0)


def test_errors_are_counted_by_their_code(log: EventLog, server: RunningServer, client: RawClient) -> None:
    assert client.produce("unknown", batch([b"x"])).error_code == errors.UNKNOWN_TOPIC_OR_PARTITION
    assert only(activity_of(server, log)).errors == 1
    samples = {sample.labels["error"]: sample.value for sample in log.metrics()["eventlog_server_errors_total"].samples}
    assert samples == {"UNKNOWN_TOPIC_OR_PARTITION": 1}


def test_connections_are_counted_by_how_they_end(log: EventLog) -> None:
    with running_server(log, Settings(), Limits(connections_max=1)) as server:
        with RawClient(server.address) as client:
            client.metadata()
            with RawClient(server.address) as refused:
                assert refused.receive_frame() is None
            client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.receive_frame() is None
        found = only(activity_of(server, log))
        assert (found.refused, found.failed) == (1, 1)
        accepted = log.metrics()["eventlog_server_accepted_connections_total"].samples
        assert [(dict(sample.labels), sample.value) for sample in accepted] == [({"server": str(found.number)}, 1)]


def test_a_stopped_server_is_not_shown(log: EventLog) -> None:
    with running_server(log) as server:
        assert len(activity_of(server, log).servers) == 1
        with running_server(log) as second:
            numbers = [each.number for each in activity_of(second, log).servers]
            assert len(set(numbers)) == 2
    assert log.activity().servers == ()
    assert log.metrics()["eventlog_server_connections"].samples == ()


def test_latencies_are_a_histogram(log: EventLog, server: RunningServer, client: RawClient) -> None:
    for _ in range(3):
        client.metadata()
    activity_of(server, log)
    buckets = log.metrics()["eventlog_server_request_seconds_bucket"].samples
    values = [sample.value for sample in buckets]
    assert values == sorted(values) and values[-1] == 3 and buckets[-1].labels["le"] == "+Inf"
    assert [float(sample.labels["le"]) for sample in buckets] == sorted(float(sample.labels["le"]) for sample in buckets)


def test_a_server_without_a_sign_of_life_is_not_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = CountersWriter(store, 3)
    writer.name_api(1, "Fetch")
    writer.answered(1, 2**60, 10, 2**40)
    writer.write(7)
    [found] = read_counters(store)
    assert (found.number, found.connections, found.apis["Fetch"].latencies[-1]) == (3, 7, 1)
    uptime = "eventlog.storage.mapped.server_counters._uptime_ms"
    monkeypatch.setattr(uptime, lambda: 2**50)
    assert read_counters(store) == []
    monkeypatch.setattr(uptime, lambda: -1)  # the machine was started anew
    assert read_counters(store) == []
    monkeypatch.undo()
    writer.close()
    assert read_counters(store) == []


def test_a_file_of_anything_is_as_good_as_none(store: Path) -> None:
    path = store / "shared" / "server-counters"
    for content in (b"", b"x", b"\xff" * 100_000, bytes(32_768) + b"\1"):
        path.write_bytes(content)
        assert read_counters(store) == []
