"""What people type first: a bare command, other tools' words, names with a slip, one partition, short options."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from tests.cli.command_line import CommandLine
from tests.cli.commands import EVERY_COMMAND, identifier
from tests.cli.test_terminal import shown_on_terminal

GROUPS = [path for path, command in EVERY_COMMAND.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("path", [path for path in GROUPS if path != ("serve",)], ids=identifier)
def test_without_a_command_the_help_is_printed(cli: CommandLine, path: tuple[str, ...]) -> None:
    assert cli.output(*path) == cli.output(*path, "--help")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("topic", "eventlog topics"),
        ("group", "eventlog groups"),
        ("ls", "eventlog topics list"),
        ("lag", "eventlog groups describe"),
        ("tail", "eventlog consume --follow"),
        ("consme", "eventlog consume"),
        ("topics ls", "eventlog topics list"),
        ("topics rm", "eventlog topics delete"),
        ("groups seek", "eventlog groups reset"),
        ("serve users lst", "eventlog serve users list"),
    ],
)
def test_a_command_that_is_not_there_is_told_which_one_is_meant(cli: CommandLine, typed: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in cli.error(*typed.split(), status=2)


def test_a_word_that_is_like_no_command_is_told_nothing(cli: CommandLine) -> None:
    assert "did you mean" not in cli.error("xyzzy", status=2)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("consume", "ordrs"), "orders"),
        (("consume", "Orders"), "orders"),
        (("consume", "ordrs/1"), "orders/1"),
        (("consume", "orders-1"), "orders/1"),
        (("offsets", "order"), "orders"),
        (("produce", "ordes"), "orders"),
        (("groups", "describe", "biling"), "billing"),
        (("groups", "reset", "billing", "--topic", "oders", "--to", "latest"), "orders"),
    ],
)
def test_a_name_that_is_not_there_is_told_which_one_is_meant(
    shop: CommandLine, arguments: tuple[str, ...], meant: str
) -> None:
    assert shop.error(*arguments, stdin=b"a line\n").endswith(f"did you mean {meant}?")


def test_a_name_that_is_like_no_other_is_told_nothing(shop: CommandLine) -> None:
    assert "did you mean" not in shop.error("consume", "payments")


@pytest.mark.parametrize("spelled", ["orders/0", "orders:0"])
@pytest.mark.parametrize(
    "command",
    [("consume",), ("grep", "first"), ("offsets",), ("dump",), ("repair",), ("delete-records", "--before", "latest"),
     ("groups", "reset", "billing", "--to", "latest", "--topic"), ("groups", "delete-offsets", "billing", "--topic")],
    ids=identifier,
)  # fmt: skip
def test_one_partition_is_spelled_the_same_everywhere(shop: CommandLine, command: tuple[str, ...], spelled: str) -> None:
    rows = shop.objects(*command, spelled, "--json")
    assert rows and all(row.get("partition", 0) == 0 for row in rows)


def test_several_partitions_are_spelled_with_commas(shop: CommandLine) -> None:
    assert [row["partition"] for row in shop.objects("offsets", "orders/1,0", "--json")] == [0, 1]
    assert shop.output("consume", "orders/1,0", "--count").split()[-1] == "3"


def test_records_go_to_the_partition_that_is_named(shop: CommandLine) -> None:
    shop.output("produce", "orders/1", stdin=b"second\n")
    assert shop.output("consume", "orders/1") == "second\n"
    assert "several partitions" in shop.error("produce", "orders/0,1", stdin=b"x\n", status=2)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("consume", "orders/x"), 2, "TOPIC/PARTITION"),
        (("consume", "orders/"), 2, "TOPIC/PARTITION"),
        (("consume", "orders/1/2"), 2, "TOPIC/PARTITION"),
        (("consume", "orders/9"), 1, "no partition 9"),
        (("offsets", "orders/9"), 1, "no partition 9"),
        (("consume", "orders/0", "--partition", "1"), 2, "already names a partition"),
        (("repair", "orders"), 2, "orders/0"),
        (("repair", "orders/0,1"), 2, "one partition"),
    ],
)
def test_what_names_no_partition_is_refused(
    shop: CommandLine, arguments: tuple[str, ...], status: int, message: str
) -> None:
    assert message in shop.error(*arguments, status=status)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("consume orders -p 0 -n 1", "consume orders --partition 0 --max 1"),
        ("consume orders -k k -j", "consume orders --key k --json"),
        ("consume orders -c", "consume orders --count"),
        ("grep -i FIRST orders", "grep --ignore-case FIRST orders"),
        ("grep -F -v first orders", "grep --fixed --invert first orders"),
        ("topics list -j", "topics list --json"),
        ("groups reset billing -t orders --to latest", "groups reset billing --topic orders --to latest"),
    ],
)
def test_a_short_option_is_the_long_one(shop: CommandLine, short: str, long: str) -> None:
    assert shop.run(*short.split()).stdout == shop.run(*long.split()).stdout != b""


def test_the_store_may_be_named_by_s(shop: CommandLine) -> None:
    assert shop.output("-s", shop.store, "topics", "list") == shop.output("topics", "list")


def test_groups_describe_alone_describes_all(shop: CommandLine) -> None:
    shop.output("groups", "copy", "billing", "audit", "--execute")
    assert {row["group"] for row in shop.objects("groups", "describe", "--json")} == {"audit", "billing"}
    one, other = (shop.output("groups", "describe", name) for name in ("audit", "billing"))
    assert [line.split()[-1] for line in shop.output("groups", "describe").splitlines() if line.startswith("group ")] == [
        "audit", "billing",
    ]  # fmt: skip
    assert len(shop.output("groups", "describe").splitlines()) == len((one + other).splitlines()) + 1


def test_a_topic_that_exists_stays_if_asked_for(shop: CommandLine) -> None:
    assert "exists already" in shop.output("topics", "create", "orders", "--if-not-exists", "--partitions", "9")
    (row,) = shop.objects("topics", "create", "orders", "--if-not-exists", "--json")
    assert (row["topic"], row["partitions"]) == ("orders", 2)
    assert "created topic new" in shop.output("topics", "create", "new", "--if-not-exists")


@pytest.mark.parametrize(
    ("typed", "setting", "value"),
    [
        ("retention.ms=7d", "retention.ms", 604_800_000),
        ("retention.ms=12h", "retention.ms", 43_200_000),
        ("segment.ms=90s", "segment.ms", 90_000),
        ("segment.bytes=16MiB", "segment.bytes", 16_777_216),
        ("segment.bytes=1M", "segment.bytes", 1_048_576),
        ("retention.ms=-1", "retention.ms", -1),
    ],
)
def test_settings_take_units(shop: CommandLine, typed: str, setting: str, value: int) -> None:
    shop.output("topics", "create", "new", "--config", typed)
    assert shop.objects("topics", "describe", "new", "--json")[0]["config"][setting] == value


@pytest.mark.parametrize("typed", ["retention.ms=7x", "segment.bytes=16MB", "cleanup.policy=7d"])
def test_units_that_are_not_known_are_refused(shop: CommandLine, typed: str) -> None:
    assert typed.partition("=")[0] in shop.error("topics", "create", "new", "--config", typed)


def test_a_tilde_that_no_shell_has_expanded_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with eventlog.open("~/shop") as log:
        assert log.path == tmp_path / "shop"
    with eventlog.open(tmp_path / "~other") as log:
        assert log.path.name == "~other"


def test_grep_marks_what_it_has_found_on_a_terminal_only(shop: CommandLine) -> None:
    assert shown_on_terminal(shop, "grep", "ir.", "orders") == b"f\x1b[1;31mirs\x1b[mt\r\n"
    assert shown_on_terminal(shop, "grep", "--fixed", "-i", "IRS", "orders") == b"f\x1b[1;31mirs\x1b[mt\r\n"
    assert shop.output("grep", "ir.", "orders") == "first\n"
    assert shown_on_terminal(shop, "grep", "ir.", "orders", NO_COLOR="1") == b"first\r\n"
