"""`eventlog topics`: list, create and describe topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.offsets import offset_rows, write_offset_rows
from eventlog.cli.parsing import parse_settings
from eventlog.cli.store import open_partitions, open_store

if TYPE_CHECKING:
    from eventlog import TopicDescription


@click.group(no_args_is_help=False)
def topics() -> None:
    """List, create and describe topics.

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
