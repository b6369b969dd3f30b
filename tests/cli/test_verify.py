"""`eventlog verify`."""

from __future__ import annotations

import json
from pathlib import Path

import eventlog
from tests.cli.command_line import CommandLine, assert_one_error


def damage(cli: CommandLine) -> Path:
    """Change a byte of the value `first` of the fixture `shop`, and return the file."""
    [path] = (cli.store / "logs" / "orders-0").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"first", b"f1rst"))
    return path


def test_a_sound_store_has_no_problems(shop: CommandLine) -> None:
    [report] = shop.objects("verify", "--json")
    assert (report["segments"], report["batches"], report["records"], report["problems"]) == (1, 1, 3, [])
    assert report["bytes"] > 0 and report["directory"].endswith("orders-0")


def test_a_problem_is_told_with_its_file_position_and_reason_and_status_1(shop: CommandLine) -> None:
    path = damage(shop)
    done = shop.run("verify")
    assert_one_error(done.returncode, done.stderr, 1)
    assert done.stderr == b"eventlog: 1 problem found\n"
    assert done.stdout.decode().splitlines()[-1].startswith(f"{path}: byte 0: ")


def test_a_problem_in_json_has_the_same_members_and_status(shop: CommandLine) -> None:
    path = damage(shop)
    done = shop.run("verify", "--json")
    assert_one_error(done.returncode, done.stderr, 1)
    [problem] = json.loads(done.stdout)["problems"]
    assert (problem["path"], problem["position"]) == (str(path), 0) and problem["reason"]


def test_only_the_topic_that_is_named_is_checked(shop: CommandLine) -> None:
    damage(shop)
    with eventlog.open(shop.store) as log:
        log.create_topic("sound")
        log.partition("sound", 0).append(b"value")
    [report] = shop.objects("verify", "sound", "--json")
    assert report["records"] == 1
    assert shop.run("verify", "orders").returncode == 1


def test_commands_that_come_to_damage_say_so_and_fail(shop: CommandLine) -> None:
    damage(shop)
    for command in ("consume orders", "grep first orders", "consume orders --group new --max 9"):
        done = shop.run(*command.split())
        assert_one_error(done.returncode, done.stderr, 1)
        assert b"eventlog repair orders/0" in done.stderr
    assert shop.objects("offsets", "orders", "--json")[0]["end_offset"] == 3
