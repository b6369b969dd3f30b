"""A group of commands: typed alone it prints its help, and for a command that it lacks it says which one is meant."""

from __future__ import annotations

from typing import Any

import click

from eventlog.cli.spelling import closest

# What people type who know another tool, and what it is called here.
_SYNONYMS = {
    "add": ("create",),
    "cat": ("consume",),
    "consumer": ("consume",),
    "del": ("delete",),
    "desc": ("describe",),
    "group": ("groups",),
    "info": ("describe",),
    "lag": ("groups describe",),
    "ls": ("list", "topics list"),
    "new": ("create",),
    "offset": ("offsets",),
    "producer": ("produce",),
    "read": ("consume",),
    "rm": ("delete",),
    "search": ("grep",),
    "seek": ("reset", "groups reset"),
    "send": ("produce",),
    "show": ("describe",),
    "tail": ("consume --follow",),
    "topic": ("topics",),
    "transaction": ("transactions",),
    "user": ("users", "serve users"),
    "write": ("produce",),
}


class CommandGroup(click.Group):
    """Commands that stand together under one name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"no_args_is_help": False, **options})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help if no command is named. Raises what click raises."""
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first. Raises click.UsageError, with the one that is meant, if it is not there."""
        name, commands = args[0], self.list_commands(ctx)
        if name in commands or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = self._meant(name, commands)
        hint = f": did you mean '{ctx.command_path} {meant}'?" if meant else ""
        raise click.UsageError(f"No such command {name!r}{hint}", ctx)

    def _meant(self, name: str, commands: list[str]) -> str | None:
        for known in _SYNONYMS.get(name.lower(), ()):
            if known.partition(" ")[0] in commands:
                return known
        return closest(name, commands)
