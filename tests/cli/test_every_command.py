"""What holds for every command: help, statuses, one line of error, closed pipes, JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import click
import pytest

from eventlog.cli import COMMANDS
from tests.cli.command_line import PROGRAM, SECONDS_MAX, CommandLine, assert_one_error, closed_pipe, environment_without_store
from tests.cli.commands import EVERY_COMMAND, OF_A_STORE, every_leaf_as_a_program, identifier
from tests.support import programs

# Arguments that work in the store of the fixture `shop`, and arguments that name what is not there (or is, already).
WORKING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("topics", "list"): (),
    ("topics", "create"): ("another",),
    ("topics", "describe"): ("orders",),
    ("topics", "alter"): ("orders", "--partitions", "3"),
    ("topics", "delete"): ("orders",),
    ("delete-records",): ("orders", "--before", "latest"),
    ("maintain",): (),
    ("produce",): ("orders",),
    ("consume",): ("orders",),
    ("grep",): ("first", "orders"),
    ("export",): ("orders", "--to", "exported.jsonl"),
    ("offsets",): ("orders",),
    ("sql",): ("from orders",),
    ("groups", "list"): (),
    ("groups", "describe"): ("billing",),
    ("transactions", "list"): (),
    ("transactions", "describe"): ("idle",),
    ("transactions", "abort"): ("idle", "--execute"),
    ("top",): ("--once", "--interval", "0.1"),
    ("metrics",): (),
    ("bench",): ("--seconds", "0.05"),
    ("completion",): ("bash",),
    ("groups", "delete"): ("billing", "--execute"),
    ("groups", "export"): ("billing",),
    ("groups", "import"): ("billing", "offsets.jsonl"),
    ("groups", "copy"): ("billing", "copied"),
    ("groups", "delete-offsets"): ("billing", "--topic", "orders"),
    ("groups", "undo"): ("billing",),
    ("groups", "history"): ("billing",),
    ("groups", "reset"): ("billing", "--all-topics", "--to", "latest"),
    ("dump",): ("orders/0", "--records"),
    ("verify",): (),
    ("backup",): ("new-backup",),
    ("restore",): ("backup", "restored"),
    ("repair",): ("orders/0",),
    ("doctor",): (),
    ("ship",): ("orders", "--to", "eventlog:store#copied", "--create", "1", "--until-idle", "0"),
    ("collect",): ("orders", "--from", "eventlog:store#more", "--create", "1", "--until-idle", "0"),
    ("serve",): ("--listen", "127.0.0.1:0", "--stop-when-idle", "0"),
    ("serve", "users", "add"): ("bob", "--password-file", __file__),
    ("serve", "users", "list"): (),
    ("serve", "users", "alter"): ("alice", "--role", "admin"),
    ("serve", "users", "delete"): ("alice",),
}
FAILING: dict[tuple[str, ...], tuple[str, ...]] = {
    ("topics", "create"): ("orders",),
    ("topics", "describe"): ("nothing",),
    ("topics", "alter"): ("nothing", "--partitions", "3"),
    ("topics", "delete"): ("nothing",),
    ("delete-records",): ("nothing", "--before", "latest"),
    ("produce",): ("nothing",),
    ("consume",): ("nothing",),
    ("grep",): ("nothing", "nothing"),
    ("export",): ("nothing", "--to", "exported.jsonl"),
    ("offsets",): ("nothing",),
    ("groups", "describe"): ("nothing",),
    ("groups", "delete"): ("nothing",),
    ("groups", "export"): ("nothing",),
    ("groups", "import"): ("no-such-file", "no-such-file"),
    ("groups", "copy"): ("nothing", "copied"),
    ("groups", "delete-offsets"): ("nothing", "--topic", "orders"),
    ("groups", "undo"): ("nothing",),
    ("groups", "history"): ("nothing",),
    ("groups", "reset"): ("nothing", "--all-topics", "--to", "latest"),
    ("transactions", "describe"): ("nothing",),
    ("transactions", "abort"): ("nothing",),
    ("dump",): ("nothing/0",),
    ("verify",): ("nothing",),
    ("backup",): ("backup",),
    ("restore",): ("nothing", "restored"),
    ("repair",): ("nothing/0",),
    ("ship",): ("nothing", "--to", "eventlog:store#orders"),
    ("collect",): ("nothing", "--from", "eventlog:store#orders"),
    ("serve", "users", "add"): ("alice", "--password-file", __file__),
    ("serve", "users", "alter"): ("nothing", "--role", "admin"),
    ("serve", "users", "delete"): ("nothing",),
}
NAMES_NOTHING = {
    ("topics", "list"), ("groups", "list"), ("transactions", "list"),
    ("maintain",), ("backup",), ("restore",), ("doctor",), ("top",), ("metrics",),
    ("completion",), ("bench",), ("serve",), ("serve", "users", "list"), ("sql",),
}  # fmt: skip
MAKES_THE_STORE = {("topics", "create"), ("serve",), ("serve", "users", "add")}
NEEDS_NO_STORE = {("completion",), ("restore",), ("bench",)}
NEEDS_MORE = [
    path
    for path, command in EVERY_COMMAND.items()
    if not isinstance(command, click.Group) and any(parameter.required for parameter in command.params)
]

USES_A_STORE = [path for path in OF_A_STORE if path not in NEEDS_NO_STORE]

every_command = pytest.mark.parametrize("path", list(EVERY_COMMAND), ids=identifier)
every_leaf = pytest.mark.parametrize("path", list(OF_A_STORE), ids=identifier)


def test_the_tables_of_this_file_name_every_command() -> None:
    assert set(WORKING) == set(FAILING) | NAMES_NOTHING == set(OF_A_STORE)


@every_command
def test_help_has_an_example_and_fits_80_columns(cli: CommandLine, path: tuple[str, ...]) -> None:
    text = cli.output(*path, "--help")
    assert " ".join(("eventlog", *path)) in text.split("Example:")[1]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_list_of_commands_says_what_the_help_of_each_begins_with(name: str) -> None:
    assert COMMANDS[name] == EVERY_COMMAND[(name,)].get_short_help_str(limit=100)


def test_help_imports_no_command() -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([PROGRAM, "--help"], env=environment, capture_output=True, text=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "eventlog.cli" in imported
    assert not imported & {f"eventlog.cli.{name}" for name in COMMANDS}


@every_command
def test_an_unknown_option_is_wrong_usage(cli: CommandLine, path: tuple[str, ...]) -> None:
    assert "--no-such-option" in cli.error(*path, "--no-such-option", status=2)


@every_leaf
def test_too_many_arguments_are_wrong_usage(cli: CommandLine, path: tuple[str, ...]) -> None:
    takes_any_number = any(parameter.nargs == -1 for parameter in OF_A_STORE[path].params)
    if takes_any_number:
        assert "No such file" in cli.error(*path, *WORKING[path], "a", "b", "c")
        return
    complaint = "No such command" if isinstance(OF_A_STORE[path], click.Group) else "extra argument"
    assert complaint in cli.error(*path, *WORKING[path], "a", "b", "c", status=2)


@pytest.mark.parametrize("path", NEEDS_MORE, ids=identifier)
def test_too_few_arguments_are_wrong_usage(cli: CommandLine, path: tuple[str, ...]) -> None:
    assert "Missing" in cli.error(*path, status=2)


@pytest.mark.parametrize("path", USES_A_STORE, ids=identifier)
def test_without_a_store_the_error_says_how_to_name_one(path: tuple[str, ...]) -> None:
    done = programs.run([*path, *WORKING[path]], environment_without_store())
    assert_one_error(done.returncode, done.stderr, 2)
    assert b"--store DIR" in done.stderr


@pytest.mark.parametrize("path", [path for path in USES_A_STORE if path not in MAKES_THE_STORE], ids=identifier)
def test_a_store_that_is_not_there_is_an_error_and_is_not_made(cli: CommandLine, path: tuple[str, ...]) -> None:
    assert str(cli.store) in cli.error(*path, *WORKING[path])
    assert not cli.store.exists()


@pytest.mark.parametrize("path", USES_A_STORE, ids=identifier)
def test_a_file_in_place_of_the_store_is_an_error(cli: CommandLine, path: tuple[str, ...]) -> None:
    cli.store.write_bytes(b"not a store")
    assert str(cli.store) in cli.error(*path, *WORKING[path])
    assert cli.store.read_bytes() == b"not a store"


@pytest.mark.parametrize("path", list(FAILING), ids=identifier)
def test_a_topic_that_is_not_there_or_is_already_is_one_line_of_error(shop: CommandLine, path: tuple[str, ...]) -> None:
    assert FAILING[path][0].split("/")[0] in shop.error(*path, *FAILING[path])


@every_leaf
def test_an_impossible_topic_name_is_one_line_of_error(shop: CommandLine, path: tuple[str, ...]) -> None:
    if path not in NAMES_NOTHING:
        name = "no\nname/0" if path == ("dump",) else "g" * 1000 if path[0] == "groups" else "no\nname"
        kind = {"groups": "group name", "transactions": "transactional id", "serve": "user's name"}.get(path[0], "topic name")
        given = (*WORKING[path][:-1], name) if path == ("grep",) else (name, *WORKING[path][1:])
        assert kind in shop.error(*path, *given)


@every_leaf
def test_json_output_is_an_object_a_line(shop: CommandLine, path: tuple[str, ...]) -> None:
    printed = shop.output(*path, *WORKING[path], "--json", stdin=b"a line\n")
    assert printed.endswith("\n")
    assert all(isinstance(json.loads(line), dict) for line in printed.splitlines())


@every_leaf
def test_the_doctor_finds_nothing_to_do_after_it(shop: CommandLine, path: tuple[str, ...]) -> None:
    execute = ["--execute"] if "execute" in {parameter.name for parameter in OF_A_STORE[path].params} else []
    shop.run(*path, *WORKING[path], *execute, stdin=b"a line\n")
    findings = shop.objects("doctor", "--json", "--deep")
    assert [finding for finding in findings if finding["command"] or finding["severity"] != "note"] == []


@every_leaf_as_a_program
def test_a_closed_pipe_ends_it_quietly(shop: CommandLine, path: tuple[str, ...]) -> None:
    # The real program: an interpreter that ends writes what it has not written yet, and complains.
    with closed_pipe() as pipe:
        done = shop.run_program(*path, *WORKING[path], input=b"a line\n", stdout=pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@every_leaf
def test_a_closed_pipe_ends_json_quietly(shop: CommandLine, path: tuple[str, ...]) -> None:
    with closed_pipe() as pipe:
        done = shop.run(*path, *WORKING[path], "--json", stdin=b"a line\n", stdout=pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@every_leaf
def test_a_full_device_as_output_is_an_error(shop: CommandLine, path: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = shop.run(*path, *WORKING[path], stdin=b"a line\n", stdout=full.fileno())
    assert_one_error(done.returncode, done.stderr, 1)
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("path", [("consume",), ("topics", "list"), ("top",)], ids=identifier)
def test_a_full_device_is_one_error_though_the_interpreter_writes_at_its_end(shop: CommandLine, path: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = shop.run_program(*path, *WORKING[path], stdout=full)
    assert_one_error(done.returncode, done.stderr, 1)


@every_leaf_as_a_program
def test_with_standard_output_closed_nothing_of_it_gets_into_the_store(shop: CommandLine, path: tuple[str, ...]) -> None:
    # The shell's >&- leaves descriptor 1 free, so that the next file opened would be standard output.
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run(
        [bash, "-c", '"$@" >&-', "bash", PROGRAM, *path, *WORKING[path]],
        env=shop.environment(),
        input=b"a line\n",
        capture_output=True,
        timeout=SECONDS_MAX,
    )
    reports = shop.objects("verify", "--json")
    assert reports and all(report["problems"] == [] for report in reports)


def test_the_store_may_be_named_by_option(shop: CommandLine) -> None:
    environment = {**os.environ, "EVENTLOG_STORE": "/nowhere"}
    done = programs.run(["--store", shop.store, "topics", "list"], environment)
    assert b"orders" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(("topics", "list", "--store", "x"), "before the command"), (("--json", "topics", "list"), "after the command")],
)
def test_an_option_in_the_wrong_place_is_told_its_place(cli: CommandLine, arguments: tuple[str, ...], hint: str) -> None:
    assert hint in cli.error(*arguments, status=2)


def test_rich_is_not_imported_where_nothing_is_shown_on_a_terminal(shop: CommandLine) -> None:
    done = subprocess.run(
        [PROGRAM, "topics", "list"],
        env={**shop.environment(), "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
    )
    imported = [line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()]
    assert "click" in imported
    assert "rich" not in imported
