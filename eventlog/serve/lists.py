"""Long lists in answers, made of bytes instead of an object for each item."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from eventlog.serve.broker import Broker, Client, Turn
from eventlog.serve.catalog import Topic
from eventlog.serve.nodes import Node, leader_of
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import encoder_of, kind

_INDEX_AT, _EPOCH_AT = 2, 10  # in a partition's description: after its error code, and after its leader
_INT_BYTES = 4
ITEMS_AT_ONCE_MAX = 2_000  # in answers of which any number may be on their way


async def wait_for_turn(broker: Broker, client: Client, items: int) -> None:
    """Let few clients at a time get an answer with very many items: some do not read it."""
    if items > ITEMS_AT_ONCE_MAX:
        turn = Turn(broker.large_answers)
        await turn.begin()
        client.when_sent(turn.end)


def encoded_items(message: str, inside: str, version: int, items: Iterable[Any]) -> Encoded:
    """A list of structures as bytes; in a thread, if it is long."""
    encode, pieces, count = encoder_of(message, inside, version), list[Any](), 0
    for count, item in enumerate(items, 1):  # noqa: B007
        encode(item, pieces)
    return Encoded(count, [b"".join(pieces)])


def encoded_partitions(
    message: str, inside: str, version: int, topic: Topic, numbers: range, nodes: list[Node], epochs: Mapping[int, int],
    *, has_epoch: bool,
) -> Encoded:  # fmt: skip
    """The descriptions of partitions, by their leaders and leader epochs. They are all of one size and differ in three numbers,
    so copying one description for each server gives them much faster than encoding each."""
    if not numbers:
        return Encoded(0, [])
    some = [leader_of(nodes, topic.name, number).id for number in numbers[: len(nodes)]]
    described = b"".join(_described(message, inside, version, leader) for leader in some)
    size = len(described) // len(some)
    data = bytearray((described * (len(numbers) // len(some) + 1))[: size * len(numbers)])
    indexes = array("i", numbers)
    if sys.byteorder == "little":
        indexes.byteswap()
    index_bytes = indexes.tobytes()
    for byte in range(_INT_BYTES):
        data[_INDEX_AT + byte :: size] = index_bytes[byte::_INT_BYTES]
    for number, epoch in epochs.items() if has_epoch else ():
        if number in numbers:
            at = (number - numbers.start) * size + _EPOCH_AT
            data[at : at + _INT_BYTES] = epoch.to_bytes(_INT_BYTES, "big")
    return Encoded(len(numbers), [data])


@lru_cache(maxsize=256)
def _described(message: str, inside: str, version: int, leader: int) -> bytes:
    partition = kind(message, inside)(leader_id=leader, leader_epoch=0, replica_nodes=[leader], isr_nodes=[leader])
    if "last_known_elr" in partition.field_names:  # Java's clients do not expect null
        partition.eligible_leader_replicas = partition.last_known_elr = ()
    pieces: list[Any] = []
    encoder_of(message, inside, version)(partition, pieces)
    return b"".join(pieces)
