"""`eventlog metrics`."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import eventlog
from eventlog.prometheus import EventLogCollector
from tests.cli.command_line import CommandLine


def lag(text: str) -> float:
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    [sample] = families["eventlog_group_lag_records"]
    return float(sample.value)


def test_what_is_printed_is_prometheus_text(shop: CommandLine) -> None:
    assert lag(shop.output("metrics")) == 2


def test_json_has_a_line_for_each_value(shop: CommandLine) -> None:
    printed = shop.objects("metrics", "--json")
    assert {
        "name": "eventlog_group_lag_records",
        "kind": "gauge",
        "labels": {"group": "billing", "topic": "orders", "partition": "0"},
        "value": 2,
    } in printed


def test_a_file_is_replaced_whole_and_readable_by_others(shop: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "textfile" / "eventlog.prom"
    path.parent.mkdir()
    path.write_text("old")
    old = path.open()
    assert shop.output("metrics", "--output", path) == ""
    assert lag(path.read_text()) == 2
    assert old.read() == "old"  # who was reading has the old file, whole
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & stat.S_IRUSR
    old.close()


def test_a_file_that_cannot_be_written_is_named(shop: CommandLine, tmp_path: Path) -> None:
    assert shop.error("metrics", "--output", tmp_path / "nowhere" / "x.prom") == (
        f"{tmp_path}/nowhere/x.prom: No such file or directory"
    )
    assert "directory" in shop.error("metrics", "--output", tmp_path, status=2)


# --- served ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(shop: CommandLine) -> tuple[subprocess.Popen[bytes], str]:
    """The server of a shop's metrics, and the URL that it names."""
    process = shop.start("metrics", "--listen", "0")
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("metrics are at http://127.0.0.1:") and line.endswith("/metrics\n")
    return process, line.split()[-1]


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_prometheus_reads_what_is_there_now(shop: CommandLine, served: tuple[subprocess.Popen[bytes], str]) -> None:
    url = served[1]
    status, kind, text = get(url)
    assert (status, kind, lag(text)) == (200, "text/plain; version=0.0.4; charset=utf-8", 2)
    with eventlog.open(shop.store) as log:
        log.partition("orders", 0).append(b"one more")
    assert lag(get(url)[2]) == 3


def test_only_metrics_are_served(served: tuple[subprocess.Popen[bytes], str]) -> None:
    assert get(served[1].replace("/metrics", "/"))[::2] == (404, "metrics are at /metrics\n")


def test_a_head_request_has_no_body(served: tuple[subprocess.Popen[bytes], str]) -> None:
    with urllib.request.urlopen(urllib.request.Request(served[1], method="HEAD")) as answer:
        assert int(answer.headers["Content-Length"]) > 1000
        assert answer.read() == b""


def test_the_server_stops_by_sigterm(served: tuple[subprocess.Popen[bytes], str]) -> None:
    process, _ = served
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, b"")


def test_a_port_that_is_in_use_is_named(shop: CommandLine, served: tuple[subprocess.Popen[bytes], str]) -> None:
    port = served[1].split(":")[2].partition("/")[0]
    assert shop.error("metrics", "--listen", port) == (
        f"127.0.0.1:{port} cannot be listened at: [Errno 98] Address already in use"
    )
    assert "goes neither with" in shop.error("metrics", "--listen", port, "--json", status=2)
    assert "is not HOST:PORT" in shop.error("metrics", "--listen", "local:host", status=2)


# --- more than the text ------------------------------------------------------------------------------------------------


def test_lag_is_measured_in_bytes_and_seconds_too(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 0).append(b"x" * 1000)
        metrics = log.metrics()
        [in_bytes] = metrics["eventlog_group_lag_bytes"].samples
        [in_seconds] = metrics["eventlog_group_lag_seconds"].samples
        assert in_bytes.labels == in_seconds.labels == {"group": "billing", "topic": "orders", "partition": "0"}
        assert in_bytes.value > 1000
        assert in_seconds.value > 10**9  # the record that is next is of the year 1970
        with log.consumer("orders", group="billing") as consumer:
            while consumer.poll(0):
                pass
            consumer.commit()
        metrics = log.metrics()
        assert [sample.value for sample in metrics["eventlog_group_lag_bytes"].samples] == [0, 0]
        assert [sample.value for sample in metrics["eventlog_group_lag_seconds"].samples] == [0, 0]
        [rebalances] = metrics["eventlog_group_rebalances_total"].samples
        assert rebalances.value == log.group("billing").describe().generation > 0


def test_flushes_are_counted_with_their_time(shop: CommandLine) -> None:
    with eventlog.open(shop.store, fsync="never") as log:
        before = log.metrics()
        log.partition("orders", 0).append(b"x")
        log.partition("orders", 0).flush()
        after = log.metrics()
    flushes, seconds = "eventlog_process_flushes_total", "eventlog_process_flush_seconds_total"
    assert after[flushes].samples[0].value == before[flushes].samples[0].value + 1
    assert after[seconds].samples[0].value > before[seconds].samples[0].value


def test_a_collector_gives_prometheus_client_the_same(shop: CommandLine) -> None:
    registry = CollectorRegistry()
    with eventlog.open(shop.store) as log, log.serve(port=0):
        registry.register(EventLogCollector(log))
        collected = families(generate_latest(registry).decode())
        printed = families(log.metrics().prometheus())
        labels = {"group": "billing", "topic": "orders", "partition": "0"}
        assert registry.get_sample_value("eventlog_group_lag_records", labels) == 2
    assert collected == printed and len(collected) >= 25
    assert list(registry.collect()) == []  # the store is closed


def families(text: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_the_dashboard_asks_only_for_metrics_and_labels_that_there_are(shop: CommandLine) -> None:
    """`# TYPE` lines are printed for metrics without samples, too."""
    dashboard = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "eventlog.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]
    names = {name for query in asked for name in re.findall(r"\beventlog_\w+", query)}
    printed = set(re.findall(r"^# TYPE (\w+) ", shop.output("metrics"), re.MULTILINE))
    assert len(names) > 30
    assert names <= printed
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(identifiers) == len(set(identifiers))
