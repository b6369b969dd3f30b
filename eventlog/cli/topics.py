"""`eventlog topics`: list, create and describe topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.offsets import offset_rows, write_offset_rows
from eventlog.cli.parsing import parse_settings
from eventlog.cli.store import execute_option, open_partitions, open_store

if TYPE_CHECKING:
    from eventlog import TopicDescription


@click.group(no_args_is_help=False)
def topics() -> None:
    """List, create, describe, alter and delete topics.

    \b
    Example:
      eventlog topics list
    """


@topics.command("list")
@output.json_option
def list_topics(as_json: bool) -> None:
    """List the topics, sorted by name.

    \b
    Example:
      eventlog topics list
    """
    with open_store() as log:
        descriptions = [log.topic(name) for name in log.topics()]
    if as_json:
        for description in descriptions:
            output.write_json(_topic_object(description))
        return
    output.write_table(
        ["TOPIC", "PARTITIONS", "CREATED"],
        [(item.name, item.partitions, output.time_text(item.created_ms)) for item in descriptions],
    )


@topics.command("create")
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), default=1, show_default=True, help="Number of partitions.")
@click.option(
    "--config",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A setting by its Kafka name, such as retention.ms=604800000. May be repeated.",
)
@output.json_option
def create_topic(name: str, partitions: int, settings: tuple[str, ...], as_json: bool) -> None:
    """Create a topic, and the store if it is not there yet.

    \b
    Example:
      eventlog topics create orders --partitions 4 --config segment.bytes=16777216
    """
    config = parse_settings(settings)
    with open_store(create=True) as log:
        description = log.create_topic(name, partitions=partitions, config=config or None)
    if as_json:
        output.write_json(_topic_object(description))
    else:
        noun = "partition" if partitions == 1 else "partitions"
        output.write_line(f"created topic {name} with {partitions} {noun}")


@topics.command("alter")
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), help="How many partitions it is to have; never fewer than now.")
@click.option(
    "--config", "settings", metavar="KEY=VALUE", multiple=True, help="A setting by its Kafka name. May be repeated."
)
@click.option("--unset", metavar="KEY", multiple=True, help="A setting that goes back to its default. May be repeated.")
@output.json_option
def alter_topic(
    name: str, partitions: int | None, settings: tuple[str, ...], unset: tuple[str, ...], as_json: bool
) -> None:
    """Change a topic's settings, or give it more partitions.

    Programs that use the topic go by it from their next append or read on. Records with a
    key may go to another partition once there are more.

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
    """Delete a topic with its records and the offsets groups have in it.

    Shows what would be deleted; with --execute it is. Programs that use the topic are told
    by an error.

    
    Example:
      eventlog topics delete orders --execute
    """
    with open_store() as log:
        records = sum(offsets.end_offset - offsets.start_offset for offsets in log.offsets(name))
        size_bytes = sum(size.size_bytes for size in log.sizes(name))
        if is_executed:
            log.delete_topic(name)
    if as_json:
        output.write_json({"topic": name, "records": records, "bytes": size_bytes, "is_deleted": is_executed})
        return
    output.write_line(f"{'deleted' if is_executed else 'would delete'} topic {name}: {records} records, {size_bytes} bytes")
    if not is_executed:
        output.write_line("nothing was deleted: --execute does it")


@topics.command("describe")
@click.argument("name")
@output.json_option
def describe_topic(name: str, as_json: bool) -> None:
    """Show a topic's settings and the offsets of its partitions.

    \b
    Example:
      eventlog topics describe orders
    """
    with open_store() as log:
        description = log.topic(name)
        rows = offset_rows(open_partitions(log, name))
    if as_json:
        output.write_json({**_topic_object(description), "offsets": rows})
        return
    output.write_line(f"topic       {description.name}")
    output.write_line(f"partitions  {description.partitions}")
    output.write_line(f"created     {output.time_text(description.created_ms)}")
    for key, value in sorted(description.config.items()):
        output.write_line(f"config      {key}={value}")
    output.write_line("")
    write_offset_rows(rows)


def _topic_object(description: TopicDescription) -> dict[str, Any]:
    return {
        "topic": description.name,
        "partitions": description.partitions,
        "config": dict(description.config),
        "created_ms": description.created_ms,
    }
