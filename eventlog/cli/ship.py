"""`eventlog ship`: the records of a topic to another system."""

from __future__ import annotations

from typing import Any

import click

from eventlog.cli.bridging import bridge_arguments, bridge_options, run_bridge
from eventlog.cli.store import open_store


@click.command()
@click.argument("topic")
@click.option("--to", "url", metavar="URL", required=True, help="The other system, and the queue or topic there.")
@click.option("--group", metavar="GROUP", help="The consumer group to be a member of; one named after the target by default.")
@bridge_options
def ship(topic: str, url: str, group: str | None, until_idle: float | None, as_json: bool, **options: Any) -> None:
    """Ship the records of TOPIC to another system, until Ctrl-C or SIGTERM.

    The URL is one of RabbitMQ (amqp:), ActiveMQ (stomp:), Kafka (kafka:), or of another store (eventlog:/DIR#TOPIC).
    Several processes with the same group share the partitions. 'eventlog groups describe GROUP' shows how far
    they are. What the other system has not confirmed when one ends, the next one sends.

    \b
    Example:
      eventlog ship orders --to 'amqp://localhost/%2F?queue=orders'
      eventlog ship orders --to 'kafka://localhost:9092/orders' --group to-kafka
      eventlog ship orders --to eventlog:/srv/archive#orders --until-idle 5
    """
    arguments = bridge_arguments(url, **options)
    with open_store() as log:
        run_bridge(log.ship(topic, url, group=group, **arguments), until_idle, as_json=as_json)
