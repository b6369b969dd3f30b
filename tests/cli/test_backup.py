"""`eventlog backup`, `eventlog restore` and `eventlog verify --backup`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command_line import CommandLine, assert_one_error


def test_a_backup_is_verified_and_restored_by_commands_alone(shop: CommandLine, tmp_path: Path) -> None:
    text = shop.output("backup", "monday", "--copy")
    assert "3 records in 1 partition of 1 topic, and 1 group" in text and str(tmp_path / "monday") in text
    reports = shop.objects("verify", "--backup", "monday", "--json")
    assert [Path(report["directory"]).name for report in reports] == ["meta", "orders-0"]
    assert (reports[1]["records"], [report["problems"] for report in reports]) == (3, [[], []])
    [restored] = shop.objects("restore", "monday", "again", "--json")
    assert (restored["path"], restored["records"]) == (str(tmp_path / "again"), 3)
    again = CommandLine(tmp_path / "again")
    assert again.objects("consume", "orders", "--json") == shop.objects("consume", "orders", "--json")
    assert again.objects("groups", "list", "--json") == shop.objects("groups", "list", "--json")


def test_damage_in_a_backup_is_told_with_status_1_and_not_restored(shop: CommandLine, tmp_path: Path) -> None:
    [path] = (tmp_path / "backup" / "logs" / "orders-0").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"first", b"f1rst"))
    done = shop.run("verify", "--backup", "backup", "--json")
    assert_one_error(done.returncode, done.stderr, 1)
    problems = [problem for line in done.stdout.splitlines() for problem in json.loads(line)["problems"]]
    assert {problem["path"] for problem in problems} == {str(path)}
    assert str(path) in shop.error("restore", "backup", "restored")
    assert not (tmp_path / "restored").exists()


def test_what_cannot_be_done_is_one_line_of_error(shop: CommandLine) -> None:
    assert "already contains files" in shop.error("backup", "backup")
    assert "already contains files" in shop.error("restore", "backup", "store")
    assert "is not a backup" in shop.error("verify", "--backup", "store")
    assert "is a backup" in shop.error("--store", "backup", "topics", "list")
    assert "--backup" in shop.error("verify", "orders", "--backup", "backup", status=2)
    assert "is inside" in shop.error("backup", "store/inside")
