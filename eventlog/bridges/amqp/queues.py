"""Checking that a queue or an exchange exists, or creating it."""

from __future__ import annotations

import pika.exceptions
import pika.spec

from eventlog.bridges.amqp.connection import Connection, translated
from eventlog.errors import BridgeError, InvalidArgumentError

_KINDS = ("quorum", "classic", "transient")


def check_kind(kind: str | None) -> None:
    """Raise `InvalidArgumentError` unless this is a kind of queue that can be created, or None."""
    if kind not in (None, "", *_KINDS):
        raise InvalidArgumentError(f"a queue of RabbitMQ can be {', '.join(_KINDS)}, not {kind!r}")


def have_queue(connection: Connection, queue: str, kind: str | None) -> None:
    """Return if the queue exists, with whatever arguments; create one of this `kind` if there is none, unless that is None.

    A quorum queue, which is the default, and a classic one survive a restart of RabbitMQ; a transient one does not, and is
    what `queue_declare(queue='hello')` makes. Raises `BridgeError` if there is none, or it may not be used, and
    `ConnectionLostError`."""
    try:
        # Passively: a queue may exist with other arguments than those that one would be created with.
        connection.call(connection.channel.queue_declare, queue, passive=True)
        return
    except pika.exceptions.ChannelClosedByBroker as error:
        if not _is_missing(error):
            raise _refused(connection, f"queue {queue!r}", error) from error
        if kind is None:
            raise BridgeError(f"{connection.label}: there is no queue {queue!r}; --create creates it") from error
    connection.open_channel()
    arguments = {} if kind == "transient" else {"x-queue-type": kind or "quorum"}
    try:
        connection.call(connection.channel.queue_declare, queue, durable=kind != "transient", arguments=arguments)
    except pika.exceptions.ChannelClosedByBroker as error:
        raise _refused(connection, f"queue {queue!r}", error) from error


def check_exchange(connection: Connection, exchange: str) -> None:
    """Return if the exchange exists. Raises `BridgeError`, `ConnectionLostError`."""
    try:
        connection.call(connection.channel.exchange_declare, exchange, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        if _is_missing(error):
            raise BridgeError(f"{connection.label}: there is no exchange {exchange!r}") from error
        raise _refused(connection, f"exchange {exchange!r}", error) from error


def _is_missing(error: pika.exceptions.ChannelClosedByBroker) -> bool:
    # With the same code RabbitMQ says that a queue's node is down just now.
    return bool(error.reply_code == pika.spec.NOT_FOUND and "- no " in error.reply_text)


def _refused(connection: Connection, what: str, error: pika.exceptions.ChannelClosedByBroker) -> Exception:
    if error.reply_code in (pika.spec.ACCESS_REFUSED, pika.spec.PRECONDITION_FAILED):
        return BridgeError(f"{connection.label}: RabbitMQ refuses the {what}: {error.reply_text}")
    return translated(connection.label, error)
