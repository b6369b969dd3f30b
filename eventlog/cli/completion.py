"""`eventlog completion`: what a shell runs to complete commands, options, topics and groups."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from eventlog.cli import output

if TYPE_CHECKING:
    from eventlog import EventLog

VARIABLE = "_EVENTLOG_COMPLETE"
_TAKES_NEW_NAMES = ("create",)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output.json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script that teaches SHELL to complete eventlog commands.

    Topics and groups are completed from the store that --store or EVENTLOG_STORE names.

    \b
    Example:
      eval "$(eventlog completion bash)"                   # in ~/.bashrc
      eval "$(eventlog completion zsh)"                    # in ~/.zshrc
      eventlog completion fish > ~/.config/fish/completions/eventlog.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click does not support completion for {shell}: install a newer one")
    # Not that of the subclass, which runs bash to see its version.
    script = ShellComplete.source(kind(click.get_current_context().find_root().command, {}, "eventlog", VARIABLE))
    if as_json:
        output.write_json({"shell": shell, "script": script})
    else:
        for line in script.splitlines():
            output.write_line(line)


def complete_names(command: click.Command) -> None:
    """Let a command, and those below it, complete topics and groups where an argument or option names one."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                _complete_parameters(child, None if name in _TAKES_NEW_NAMES else command.name)
                complete_names(child)
    else:
        _complete_parameters(command, None)


def _complete_parameters(command: click.Command, above: str | None) -> None:
    for parameter in command.params:
        is_name = above is not None and parameter.name == "name"
        if parameter.name in ("topic", "topics") or (is_name and above == "topics"):
            vars(parameter)["shell_complete"] = _completer(lambda log: log.topics())
        elif parameter.name == "group" or (is_name and above == "groups"):
            vars(parameter)["shell_complete"] = _completer(lambda log: log.groups())
        elif parameter.name == "settings":
            vars(parameter)["shell_complete"] = _complete_setting
        elif parameter.name == "unset":
            vars(parameter)["shell_complete"] = _complete_setting_name


def _completer(names: Callable[[EventLog], list[str]]) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(context: click.Context, incomplete: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(name) for name in _names(context, names) if name.startswith(incomplete)]
        except Exception:
            return []  # Whatever is wrong with the store: somebody is typing, and a command will say it.

    return complete


def _complete_setting(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """KEY=VALUE for settings with few values, KEY= for the others."""
    from eventlog.options import effective_settings

    words = [f"{name}={value}" for name, values in effective_settings().items() for value in values or ("",)]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _complete_setting_name(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from eventlog.options import effective_settings

    return [CompletionItem(name) for name in effective_settings() if name.startswith(incomplete)]


def _names(context: click.Context, names: Callable[[EventLog], list[str]]) -> list[str]:
    root: dict[str, Any] = context.find_root().params
    directory = root.get("store") or os.environ.get("EVENTLOG_STORE")
    if not directory:
        return []
    import eventlog

    with eventlog.open(directory, create=False) as log:
        return names(log)
