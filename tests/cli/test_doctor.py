"""`eventlog doctor` and `eventlog repair`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import eventlog
from tests.cli.command_line import CommandLine, assert_one_error


def _damage(shop: CommandLine) -> Path:
    """Change a byte of the value `second` and return the file; `first` and `third` stay right."""
    with eventlog.open(shop.store) as log:
        log.create_topic("numbers")
        for value in (b"first", b"second", b"third"):
            log.partition("numbers", 0).append(value)
    [path] = (shop.store / "logs" / "numbers-0").glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"second", b"sec0nd"))
    return path


def test_a_sound_store_is_told_to_be_so(shop: CommandLine) -> None:
    text = shop.output("doctor", "--deep")
    assert text.endswith("nothing is wrong\n") and str(shop.store) in text


def test_an_error_is_told_with_the_command_that_helps_and_status_1(shop: CommandLine) -> None:
    path = _damage(shop)
    done = shop.run("doctor", "--deep")
    assert_one_error(done.returncode, done.stderr, 1)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "error: numbers/0" and path.name in lines[1]
    assert "  try: eventlog repair numbers/0" in lines
    assert all(len(line) <= 80 for line in lines if str(shop.store) not in line)
    done = shop.run("doctor", "--deep", "--json")
    assert_one_error(done.returncode, done.stderr, 1)
    assert json.loads(done.stdout.splitlines()[0])["severity"] == "error"


def test_warnings_leave_the_status_0(shop: CommandLine) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 1).append(b"later", timestamp=int(time.time() + 86_400) * 1000)
    assert shop.output("doctor").startswith("warning: orders/1\n")


def test_a_store_that_cannot_be_opened_is_diagnosed(shop: CommandLine) -> None:
    (shop.store / "store.json").write_text("{}")
    done = shop.run("doctor", "--json")
    assert_one_error(done.returncode, done.stderr, 1)
    [finding] = map(json.loads, done.stdout.splitlines())
    assert finding["severity"] == "error" and "store.json" in finding["text"]


def test_a_repair_is_shown_first_and_done_when_told_to(shop: CommandLine) -> None:
    path = _damage(shop)
    before = path.read_bytes()
    text = shop.output("repair", "numbers/0")
    assert f"of {path}:" in text and "offset 1 has no record any more" in text and "nothing was changed" in text
    assert path.read_bytes() == before
    [done] = shop.objects("repair", "numbers/0", "--execute", "--json")
    assert done["executed"] and done["lost"] == [{"first_offset": 1, "last_offset": 1}]
    [removal] = done["removals"]
    assert b"sec0nd" in Path(removal["kept_at"]).read_bytes()
    assert shop.output("consume", "numbers") == "first\nthird\n"
    assert shop.output("repair", "numbers/0") == "numbers/0 needs no repair\n"
    assert shop.output("verify", "numbers", "--json")
    assert f"{removal['bytes']} bytes" in shop.output("doctor", "--deep")


def test_what_is_no_partition_is_wrong_usage_or_not_found(shop: CommandLine) -> None:
    for text in ("orders", "orders/", "orders/x", "orders/-1"):
        assert "TOPIC/PARTITION" in shop.error("repair", text, status=2)
    assert "0 to 1" in shop.error("repair", "orders/7")
