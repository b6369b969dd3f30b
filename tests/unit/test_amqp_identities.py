"""How a message of RabbitMQ is recognised if it comes again."""

from __future__ import annotations

import pika
import pytest

from eventlog.bridges.amqp.deliveries import Delivery, Reading


def read(identity: str | None, body: bytes = b"Hello World!", **properties: str) -> tuple[bytes | None, bool]:
    encoded = b"".join(pika.BasicProperties(**properties).encode())
    message = Reading(None, identity).message(Delivery.of(b"", b"hello", False, encoded, body), None)
    return message.identity, message.is_unique


def test_an_id_of_the_sender_counts_together_with_the_body() -> None:
    found, is_unique = read(None, message_id="1")
    assert found is not None and is_unique
    assert read(None, message_id="1") == (found, True)
    assert read(None, message_id="2") != (found, True) != read(None, b"another body", message_id="1")


@pytest.mark.parametrize("identity", [None, "message-id", "header:trace", "none"])
def test_equal_messages_without_an_id_are_not_taken_for_one_another(identity: str | None) -> None:
    assert read(identity) == (None, False)


def test_the_content_counts_if_that_is_wanted() -> None:
    found, is_unique = read("content")
    assert found is not None and not is_unique
    assert read("content", b"another body") != (found, False)
    assert read("content", message_id="1") != (found, False)  # which belongs to the content
