"""`eventlog ship` and `eventlog collect` on two stores: signals, statuses, refused records, and secrets that nobody sees."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition
from tests.cli.command_line import SECONDS_MAX, CommandLine

SECRET = "s3cret"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Another store, whose topic `orders` takes records of up to 1,000 bytes."""
    path = tmp_path / "archive"
    with eventlog.open(path) as log:
        log.create_topic("orders", 2, {"max.message.bytes": 1000})
    return path


def values(store: Path, topic: str = "orders", partition: int = 0) -> list[bytes | None]:
    with eventlog.open(store) as log:
        return list(log.partition(topic, partition).values())


def test_what_is_shipped_can_be_collected_again(shop: CommandLine, archive: Path) -> None:
    shipped = shop.objects("ship", "orders", "--to", "eventlog:archive#orders", "--until-idle", "0", "--json")
    assert [each["records"] for each in shipped] == [3]
    shop.output("topics", "create", "back", "--partitions", "2")
    assert "3 records collected" in shop.output("collect", "back", "--from", "eventlog:archive#orders", "--until-idle", "0.2")
    assert values(shop.store, "back") == values(archive) == values(shop.store) == [b"first", b"\xff\x00", None]


def test_a_refused_record_stops_a_ship_with_the_command_that_skips_it(shop: CommandLine, archive: Path) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 0).append_many([b"x" * 2000, b"last"])
    arguments = ("ship", "orders", "--to", "eventlog:archive#orders", "--group", "to-archive", "--until-idle", "0")
    done = shop.run(*arguments)
    assert done.returncode == 1
    assert b"orders/0 offset 3" in done.stderr
    command = done.stderr.decode().split("'eventlog ")[1].split("'")[0]
    assert command == "groups reset to-archive --topic orders:0 --to 4 --execute"
    shop.output(*command.split())
    assert shop.output(*arguments) == "1 records shipped\n"
    assert values(archive) == [b"first", b"\xff\x00", None, b"last"]


@pytest.mark.parametrize(("policy", "dead"), [("drop", []), ("dead-letter:dead", [b"x" * 2000])])
def test_a_refused_record_goes_where_it_is_told(shop: CommandLine, archive: Path, policy: str, dead: list[bytes]) -> None:
    with eventlog.open(shop.store) as log:
        log.partition("orders", 0).append_many([b"x" * 2000, b"last"])
    arguments = ("--to", "eventlog:archive#orders", "--refused", policy, "--until-idle", "0", "--json")
    [shipped] = [json.loads(line) for line in shop.run("ship", "orders", *arguments).stdout.splitlines()]
    assert (shipped["records"], shipped["refused"], shipped["state"]) == (4, 1, "stopped")
    assert values(archive) == [b"first", b"\xff\x00", None, b"last"]
    if dead:
        with eventlog.open(shop.store) as log:
            [record] = log.partition("dead", 0).read(0)
        assert record.value == dead[0]
        assert dict(record.headers)["eventlog.refused.offset"] == b"3"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_once_what_it_has_begun_is_settled(
    shop: CommandLine, archive: Path, number: signal.Signals, status: int
) -> None:
    process = shop.start("ship", "orders", "--to", "eventlog:archive#orders", "--group", "to-archive", "--json")
    with eventlog.open(shop.store) as log, eventlog.open(archive) as other:
        assert other.partition("orders", 0).wait(2, SECONDS_MAX)
        receipt = log.producer().send("orders", b"more", partition=1)
        assert receipt.wait_acked("to-archive", SECONDS_MAX)
        process.send_signal(number)
        printed, error = process.communicate(timeout=SECONDS_MAX)
        assert (process.returncode, error) == (status, b"")
        assert json.loads(printed)["records"] == 4
        assert log.group("to-archive").committed() == {TopicPartition("orders", 0): 3, TopicPartition("orders", 1): 1}
        assert log.group("to-archive").describe().members == ()


def test_a_group_shows_how_its_bridge_does(shop: CommandLine, archive: Path) -> None:
    with eventlog.open(shop.store) as log, log.ship("orders", "eventlog:archive#orders", group="to-archive"):
        assert log.producer().send("orders", b"more", partition=0).wait_acked("to-archive", SECONDS_MAX)
        rows = shop.objects("groups", "describe", "to-archive", "--json")
        assert {row["bridge"]["url"] for row in rows} == {"eventlog:archive#orders"}
        assert "(ship eventlog:archive#orders, running" in shop.output("groups", "describe", "to-archive")
        metrics = shop.output("metrics")
        labels = 'bridge="eventlog:archive#orders",direction="ship",system="eventlog",topic="orders"'
        assert f"eventlog_bridge_connected{{{labels}" in metrics
    assert "eventlog_bridge_connected{" not in shop.output("metrics")


@pytest.mark.parametrize("url", [f"amqp://guest:{SECRET}@localhost/", f"kafka://localhost/orders?sasl.password={SECRET}"])
@pytest.mark.parametrize(
    "command",
    [
        ("ship", "orders", "--to"),
        ("collect", "orders", "--from"),
        ("mirror", "--topics", "*"),
        ("mirror", "--topics", "*", "--to"),
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(shop: CommandLine, command: tuple[str, ...], url: str) -> None:
    error = shop.error(*command, url, status=2)
    assert "--password-file" in error and SECRET not in error


def test_a_password_in_the_url_of_a_cluster_is_taken_from_the_environment_only(shop: CommandLine) -> None:
    error = shop.error("--store", f"kafka://ann:{SECRET}@localhost:1", "topics", "list", status=2)
    assert "EVENTLOG_KAFKA_PASSWORD" in error and SECRET not in error


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("ship", "orders", "--to", "eventlog:archive#orders"), "--give-up-after"),
        (("ship", "orders", "--to", "eventlog:archive#orders"), "--until-idle"),
        (("collect", "orders", "--from", "eventlog:archive#orders"), "--give-up-after"),
        (("collect", "orders", "--from", "eventlog:archive#orders"), "--until-idle"),
        (("mirror", "kafka://localhost:1", "--topics", "*"), "--give-up-after"),
        (("mirror", "kafka://localhost:1", "--topics", "*"), "--every"),
    ],
)
def test_a_time_that_is_none_is_wrong_usage(
    shop: CommandLine, archive: Path, command: tuple[str, ...], option: str, seconds: str
) -> None:
    assert option in shop.error(*command, option, seconds, status=2)


def test_a_password_file_that_is_not_there_is_an_error(shop: CommandLine) -> None:
    error = shop.error("ship", "orders", "--to", "eventlog:archive#orders", "--password-file", "nothing")
    assert "the password cannot be read from nothing" in error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--to", "eventlog:nowhere#orders"), "there is no store"),
        (("--to", "eventlog:archive#nothing"), "--create creates it"),
        (("--to", "eventlog:archive"), "eventlog:/DIR#TOPIC"),
        (("--to", "eventlog:archive?x=1#orders"), "unknown option 'x'"),
        (("--to", "eventlog:archive#orders", "--refused", "ignore"), "'ignore'"),
        (("--to", "http://localhost/"), "no bridge leads to"),
    ],
)
def test_what_cannot_work_is_one_line_of_error(
    shop: CommandLine, archive: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = shop.run("ship", "orders", *arguments, "--until-idle", "0")
    assert done.returncode == 1
    assert complaint in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
