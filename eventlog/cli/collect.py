"""`eventlog collect`: messages of another system into a topic."""

from __future__ import annotations

from typing import Any

import click

from eventlog.cli.bridging import bridge_arguments, bridge_options, run_bridge
from eventlog.cli.store import open_store


@click.command()
@click.argument("topic")
@click.option("--from", "url", metavar="URL", required=True, help="The other system, and the queue or topic there.")
@click.option(
    "--key", metavar="WHERE", help="What becomes the key: routing-key, message-id, correlation-id or header:NAME."
)
@click.option(
    "--identity",
    metavar="WHAT",
    help="How a message that comes again is recognised: message-id, content, header:NAME or none.",
)
@bridge_options
def collect(
    topic: str, url: str, key: str | None, identity: str | None, until_idle: float | None, as_json: bool, **options: Any
) -> None:
    """Collect messages of another system into TOPIC, until Ctrl-C or SIGTERM.

    The URL is one of RabbitMQ (amqp:), ActiveMQ (stomp:), Kafka (kafka:), or of another store (eventlog:/DIR#TOPIC).
    A message is acknowledged once it is on disk. One that comes again is recognised and left out.

    \b
    Example:
      eventlog collect hello --from 'amqp://localhost/%2F?queue=hello'
      eventlog collect orders --from stomp://localhost:61613/queue/orders
      eventlog collect orders --from eventlog:/srv/shop#orders --until-idle 5
    """
    arguments = bridge_arguments(url, **options)
    with open_store() as log:
        bridge = log.collect(topic, url, key=key, identity=identity, **arguments)
        run_bridge(bridge, until_idle, as_json=as_json)
