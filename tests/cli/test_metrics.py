"""`eventlog metrics`."""

from __future__ import annotations

import stat
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

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
