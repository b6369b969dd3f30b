"""The store that the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from eventlog.cli.spelling import meant_instead
from eventlog.errors import EventLogError, GroupNotFoundError, PartitionNotFoundError, TopicNotFoundError

if TYPE_CHECKING:
    from types import TracebackType

    from eventlog import EventLog, Partition


# The commands that need no more of a log than a cluster has.
_ON_CLUSTERS = {
    "consume", "produce", "offsets", "top", "topics list", "topics create", "topics alter", "topics delete", "groups list",
    "groups describe", "groups reset", "groups delete", "groups export",
}  # fmt: skip


class _OpenStore:
    """An open store for the duration of a block; an error about a name that is not there says which one may be meant."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def __enter__(self) -> EventLog:
        return self._log.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        meant = _meant(self._log, error)
        self._log.__exit__(kind, error, trace)
        if meant is not None:
            raise click.ClickException(f"{error}: did you mean {meant}?") from error


def _meant(log: EventLog, error: BaseException | None) -> str | None:
    if not isinstance(error, (TopicNotFoundError, GroupNotFoundError)) or isinstance(error, PartitionNotFoundError):
        return None
    given = click.get_current_context().params.values()
    typed = chain.from_iterable(value if isinstance(value, tuple) else (value,) for value in given)
    try:
        return meant_instead(log, error, [word for word in typed if isinstance(word, str)])
    except (EventLogError, OSError):
        return None  # the error that there is says more


def open_store(
    *, create: bool = False, fsync: str = "interval", read_only: bool = False
) -> AbstractContextManager[EventLog]:
    """Open the store of --store or EVENTLOG_STORE; it must be there already unless `create` is true. With `read_only` it is
    opened as by --read-only."""
    store = _named_store()
    if _is_cluster(store):
        _check_works_on_clusters()
        _check_without_secret(store)
    import eventlog
    from eventlog.cli.warnings import show_warnings

    show_warnings()
    return _OpenStore(eventlog.open(store, mode="r" if read_only else mode(), create=create, fsync=fsync))


def mode() -> str:
    """How --read-only lets a store be opened: "r" or "rw"."""
    return "r" if click.get_current_context().find_root().params["read_only"] else "rw"


def store_directory() -> str:
    """The directory that --store or EVENTLOG_STORE names, whatever is there. Raises click.UsageError if none does."""
    store = _named_store()
    if _is_cluster(store):
        raise _needs_directory()
    return store


def _named_store() -> str:
    store: str | None = click.get_current_context().find_root().params["store"]
    if not store:
        raise click.UsageError("no store given: use 'eventlog --store DIR COMMAND' or set EVENTLOG_STORE")
    return store


def _is_cluster(store: str) -> bool:
    return store.lower().startswith("kafka://")


def _command() -> str:
    """The command that runs, such as "topics list"."""
    return click.get_current_context().command_path.partition(" ")[2]


def _check_works_on_clusters() -> None:
    if _command() not in _ON_CLUSTERS:
        raise _needs_directory()


def _check_without_secret(store: str) -> None:
    """Everybody on this machine sees the arguments of a program, and nobody else its environment."""
    from eventlog.bridges.url import Url

    source = click.get_current_context().find_root().get_parameter_source("store")
    if source is ParameterSource.COMMANDLINE and Url(store).has_secret:
        raise click.UsageError(
            "leave the password out of --store, where others see it: set EVENTLOG_KAFKA_PASSWORD, or EVENTLOG_STORE to the URL"
        )


def _needs_directory() -> click.UsageError:
    works = ", ".join(sorted(_ON_CLUSTERS))
    return click.UsageError(f"'{_command()}' needs a store in a directory, and --store names a cluster; there work {works}")


def open_partitions(log: EventLog, topic: str, numbers: Sequence[int] = ()) -> list[Partition]:
    """The partitions of a topic with these numbers, or all of them in order."""
    return [log.partition(topic, number) for number in numbers or range(log.topic(topic).partitions)]


execute_option = click.option(
    "--execute", "is_executed", is_flag=True, help="Do it; without this, it is only shown what would be done."
)
