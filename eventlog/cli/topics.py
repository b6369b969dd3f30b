"""`eventlog topics`: list, create and describe topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.cli.describe import topic_object, write_topic
from eventlog.cli.parsing import parse_settings
from eventlog.cli.store import execute_option, open_store
from eventlog.errors import NotSupportedError, TopicExistsError, TopicNotFoundError

if TYPE_CHECKING:
    from eventlog import EventLog, TopicDescription


@click.group(cls=CommandGroup)
def topics() -> None:
    """List, create, describe, alter and delete topics.

    \b
    Example:
      eventlog topics list
    """


@topics.command("list")
@output.json_option
def list_topics(as_json: bool) -> None:
    """List the topics, sorted by name, with how much is in them.

    \b
    Example:
      eventlog topics list
    """
    with open_store() as log:
        rows = list(_topic_rows(log))
    if as_json:
        for description, records, size_bytes in rows:
            output.write_json({**_topic_object(description), "records": records, "size_bytes": size_bytes})
        return
    output.write_table(
        ["TOPIC", "PARTITIONS", "RECORDS", "SIZE", "CREATED"],
        [
            (
                description.name,
                description.partitions,
                output.count_text(records),
                output.bytes_text(size_bytes),
                output.time_text(description.created_ms),
            )
            for description, records, size_bytes in rows
        ],
    )


def _topic_rows(log: EventLog) -> Iterator[tuple[TopicDescription, int, int | None]]:
    """Each topic with its records and bytes."""
    for name in log.topics():
        with suppress(TopicNotFoundError):  # deleted meanwhile
            records = sum(each.end_offset - each.start_offset for each in log.offsets(name))
            yield log.topic(name), records, _size_bytes(log, name)


def _size_bytes(log: EventLog, name: str) -> int | None:
    """The bytes of a topic; None on a cluster, which does not tell them."""
    try:
        return sum(each.size_bytes for each in log.sizes(name))
    except NotSupportedError:
        return None


@topics.command("create")
@click.argument("name")
@click.option("-p", "--partitions", type=click.IntRange(min=1), default=1, show_default=True, help="Number of partitions.")
@click.option(
    "--config",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A setting by its Kafka name, such as retention.ms=604800000. May be repeated.",
)
@click.option("--if-not-exists", is_flag=True, help="Leave a topic that exists as it is.")
@output.json_option
def create_topic(name: str, partitions: int, settings: tuple[str, ...], if_not_exists: bool, as_json: bool) -> None:
    """Create a topic, and the store if it does not exist yet.

    Settings in milliseconds and bytes take units: 7d, 12h, 5min, 30s; 16MiB, 1G.

    \b
    Example:
      eventlog topics create orders --partitions 4 --config retention.ms=7d
    """
    config = parse_settings(settings)
    with open_store(create=True) as log:
        try:
            description = log.create_topic(name, partitions=partitions, config=config or None)
        except TopicExistsError:
            if not if_not_exists:
                raise
            output.write_json(_topic_object(log.topic(name))) if as_json else output.write_line(f"topic {name} exists already")
            return
    if as_json:
        output.write_json({**_topic_object(description), "records": 0, "size_bytes": 0})
    else:
        noun = "partition" if partitions == 1 else "partitions"
        output.write_line(f"created topic {name} with {partitions} {noun}")


@topics.command("alter")
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), help="The new number of partitions; never fewer than now.")
@click.option("--config", "settings", metavar="KEY=VALUE", multiple=True, help="A setting by its Kafka name. May be repeated.")
@click.option("--unset", metavar="KEY", multiple=True, help="A setting to reset to its default. May be repeated.")
@output.json_option
def alter_topic(name: str, partitions: int | None, settings: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> None:
    """Change a topic's settings, or give it more partitions.

    Programs that use the topic apply the change from their next append or read on. Records
    with a key may go to other partitions once there are more.

    
    Example:
      eventlog topics alter orders --config retention.ms=86400000
      eventlog topics alter orders --partitions 8 --unset segment.bytes
    """
    config: dict[str, str | None] = {**parse_settings(settings), **dict.fromkeys(unset)}
    if not config and partitions is None:
        raise click.UsageError("nothing to change: give --partitions, --config or --unset")
    with open_store() as log:
        description = log.alter_topic(name, partitions=partitions, config=config)
    if as_json:
        output.write_json(_topic_object(description))
    else:
        output.write_line(f"altered topic {name}")


@topics.command("delete")
@click.argument("name")
@execute_option
@output.json_option
def delete_topic(name: str, is_executed: bool, as_json: bool) -> None:
    """Delete a topic with its records and the offsets that groups have committed in it.

    Shows what would be deleted; --execute deletes it. Programs that use the topic get an
    error.

    
    Example:
      eventlog topics delete orders --execute
    """
    with open_store() as log:
        records = sum(offsets.end_offset - offsets.start_offset for offsets in log.offsets(name))
        size_bytes = _size_bytes(log, name)
        if is_executed:
            log.delete_topic(name)
    if as_json:
        output.write_json({"topic": name, "records": records, "bytes": size_bytes, "is_deleted": is_executed})
        return
    content = f"{records} records" + (f", {size_bytes} bytes" if size_bytes is not None else "")
    output.write_line(f"{'deleted' if is_executed else 'would delete'} topic {name}: {content}")
    if not is_executed:
        output.write_line("nothing was deleted: use --execute to do it")


@topics.command("describe")
@click.argument("name")
@output.json_option
def describe_topic(name: str, as_json: bool) -> None:
    """Show a topic in detail: partitions, sizes, rates, groups, settings.

    RATE is the records a second in the last minute, by their timestamps; "-" if there are none or they cannot be
    read. OLDEST and NEWEST are the times of the first and the last record. LAG is how many records come after what
    the group has committed.

    \b
    Example:
      eventlog topics describe orders
    """
    with open_store() as log:
        overview = log.describe_topic(name)
    if as_json:
        output.write_json({**_topic_object(overview.description), **topic_object(overview)})
    else:
        write_topic(overview)


def _topic_object(description: TopicDescription) -> dict[str, Any]:
    return {
        "topic": description.name,
        "partitions": description.partitions,
        "config": dict(description.config),
        "created_ms": description.created_ms if description.created_ms >= 0 else None,
    }
