"""`eventlog serve users`: who may use the server, and what each user may do."""

from __future__ import annotations

import os
from typing import Any

import click

from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.cli.store import open_store
from eventlog.errors import EventLogError

_ROLES = ("reader", "writer", "admin")
_PASSWORD_VARIABLE = "EVENTLOG_PASSWORD"
_HEADERS = ("USER", "ROLE", "TOPICS", "GROUPS", "MECHANISMS")

_password_file_option = click.option(
    "--password-file", metavar="FILE", help="Take the password from the first line of FILE; - is standard input."
)
_topic_option = click.option(
    "--topic-prefix", "topic_prefixes", metavar="PREFIX", multiple=True, help="Only topics that begin so. May be repeated."
)
_group_option = click.option(
    "--group-prefix",
    "group_prefixes",
    metavar="PREFIX",
    multiple=True,
    help="Only groups and transactional ids that begin so. May be repeated.",
)


@click.group(cls=CommandGroup)
def users() -> None:
    """Add, list, alter and delete the users of `eventlog serve --users`.

    \b
    Example:
      eventlog serve users add alice --role writer --topic-prefix orders
      eventlog serve users list
    """


@users.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="reader", show_default=True, help="What the user may do.")
@_topic_option
@_group_option
@_password_file_option
@output.json_option
def add_user(
    name: str,
    role: str,
    topic_prefixes: tuple[str, ...],
    group_prefixes: tuple[str, ...],
    password_file: str | None,
    as_json: bool,
) -> None:
    """Add the user NAME.

    The password comes from a prompt, a file, or the variable EVENTLOG_PASSWORD. A reader consumes, a writer also produces
    and may create topics by naming them, and an admin also creates, alters and deletes topics and groups.

    \b
    Example:
      eventlog serve users add alice --role writer --topic-prefix orders
    """
    from eventlog.serve.security import accounts

    password = _password(password_file)
    with open_store(create=True) as log:
        accounts.add_user(
            log, name, password, role, topic_prefixes=topic_prefixes or ("",), group_prefixes=group_prefixes or ("",)
        )
    _tell("added", name, as_json=as_json)


@users.command("list")
@output.json_option
def list_users(as_json: bool) -> None:
    """List the users, never their passwords.

    \b
    Example:
      eventlog serve users list
    """
    from eventlog.serve.security import accounts

    with open_store() as log:
        rows: list[dict[str, Any]] = [
            {
                "user": user.name,
                "role": user.role,
                "topic_prefixes": list(user.topic_prefixes),
                "group_prefixes": list(user.group_prefixes),
                "mechanisms": sorted(user.credentials),
            }
            for user in accounts.users(log)
        ]
    if as_json:
        for row in rows:
            output.write_json(row)
    else:
        output.write_table(_HEADERS, [_table_row(*row.values()) for row in rows])


def _table_row(name: str, role: str, topics: list[str], groups: list[str], mechanisms: list[str]) -> tuple[str, ...]:
    return name, role, _prefixes(topics), _prefixes(groups), " ".join(mechanisms) or "-"


def _prefixes(prefixes: list[str]) -> str:
    return " ".join(f"{prefix}*" for prefix in prefixes)


@users.command("alter")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), help="What the user may do from now on.")
@_topic_option
@_group_option
@click.option("--password", "is_new_password", is_flag=True, help="Ask for a new password, or take it from EVENTLOG_PASSWORD.")
@_password_file_option
@output.json_option
def alter_user(
    name: str,
    role: str | None,
    topic_prefixes: tuple[str, ...],
    group_prefixes: tuple[str, ...],
    is_new_password: bool,
    password_file: str | None,
    as_json: bool,
) -> None:
    """Change the user NAME: its role, its prefixes, or its password.

    Servers that run apply it from the next request on; a new password disconnects the user. An empty PREFIX stands for
    all names.

    \b
    Example:
      eventlog serve users alter alice --role admin --topic-prefix ""
    """
    from eventlog.serve.security import accounts

    has_password = is_new_password or password_file is not None
    if not (role or topic_prefixes or group_prefixes or has_password):
        raise click.UsageError("nothing to change: give --role, --topic-prefix, --group-prefix or --password")
    password = _password(password_file) if has_password else None
    with open_store() as log:
        accounts.alter_user(
            log,
            name,
            password=password,
            role=role,
            topic_prefixes=topic_prefixes or None,
            group_prefixes=group_prefixes or None,
        )
    _tell("altered", name, as_json=as_json)


@users.command("delete")
@click.argument("name")
@output.json_option
def delete_user(name: str, as_json: bool) -> None:
    """Delete the user NAME, whose connections end.

    \b
    Example:
      eventlog serve users delete alice
    """
    from eventlog.serve.security import accounts

    with open_store() as log:
        accounts.delete_user(log, name)
    _tell("deleted", name, as_json=as_json)


def _tell(action: str, name: str, *, as_json: bool) -> None:
    if as_json:
        output.write_json({"user": name, "action": action})
    else:
        output.write_line(f"{action} user {name}")


def _password(file: str | None) -> str:
    """From a file, the environment, or a prompt: never from the command line, where others see it."""
    if file is not None:
        try:
            with open(0 if file == "-" else file, encoding="utf-8", closefd=file != "-") as lines:
                return lines.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise EventLogError(f"the password cannot be read from {file}: {error}") from None
    if _PASSWORD_VARIABLE in os.environ:
        return os.environ[_PASSWORD_VARIABLE]
    if not os.isatty(0):
        raise click.UsageError(f"no terminal to ask for the password: use --password-file or {_PASSWORD_VARIABLE}")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
