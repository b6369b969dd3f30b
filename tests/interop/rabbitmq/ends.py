"""The ends of a bridge by themselves, and what another client sees of the queue."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from eventlog.bridges.endpoints import Refusal, SinkContext, SourceContext
from eventlog.bridges.message import Message, Origin
from eventlog.bridges.systems import make_sink, make_source
from eventlog.bridges.url import Url
from eventlog.errors import ConnectionLostError
from eventlog.records.record import Record
from tests.interop.rabbitmq.server import Server

ORIGIN = Origin("store", "topic", "group")
ROUNDS_MAX = 600


def records(values: Iterable[bytes | None], **fields: Any) -> list[Record]:
    """Records of one partition with these values."""
    template = Record("topic", 0, 0, 1_700_000_000_123, None, None, ())._replace(**fields)
    return [template._replace(offset=offset, value=value) for offset, value in enumerate(values)]


def new_name() -> str:
    """A name that no queue has."""
    return f"queue-{uuid.uuid4()}"


def sink(url: str, create: str | None = None, window: int = 2000) -> Any:
    """A sink that is not open."""
    return make_sink(Url(url), SinkContext(ORIGIN, window, 8 << 20, create, _no_log))


def source(url: str, key: str | None = None, identity: str | None = None, create: str | None = None, window: int = 2000) -> Any:
    """A source that is not open."""
    return make_source(
        Url(url), SourceContext("topic", lambda source, partition: None, key, identity, create, window, 1 << 20, _no_log)
    )


def _no_log(url: str) -> Any:
    raise AssertionError(url)


def ship(target: Any, sent: Sequence[Record]) -> tuple[list[Record], list[Refusal]]:
    """Send all, and return what was confirmed and what was refused once nothing is under way."""
    confirmed: list[Record] = []
    refused: list[Refusal] = []
    position = 0
    for _ in range(ROUNDS_MAX):
        room = target.room()
        batch = sent[position : position + room]
        if batch:
            target.send(batch)
            position += len(batch)
        outcomes = target.outcomes(0 if position < len(sent) and target.room() else 1.0)
        confirmed += outcomes.confirmed
        refused += outcomes.refused
        if len(confirmed) + len(refused) == len(sent):
            return confirmed, refused
    raise AssertionError(f"{len(confirmed)} of {len(sent)} were confirmed, {len(refused)} refused")


def ship_in_spite_of_losses(
    target: Any, sent: Sequence[Record], meanwhile: Callable[[], object] = lambda: None
) -> tuple[list[Record], list[Refusal]]:
    """As a bridge does it: after each loss connect again, and begin with the first record that is not settled.

    `meanwhile` is called before each attempt but the first."""
    confirmed: dict[int, Record] = {}
    refused: dict[int, Refusal] = {}
    for _ in range(ROUNDS_MAX):
        try:
            target.open()
            first = next(offset for offset in range(len(sent) + 1) if offset not in confirmed and offset not in refused)
            _ship_all(target, sent[first:], confirmed, refused)
            return sorted(confirmed.values()), sorted(refused.values())
        except ConnectionLostError:
            meanwhile()
        finally:
            target.close()
    raise AssertionError(f"{len(confirmed)} of {len(sent)} were confirmed, {len(refused)} refused")


def _ship_all(target: Any, sent: Sequence[Record], confirmed: dict[int, Record], refused: dict[int, Refusal]) -> None:
    position = settled = 0
    while settled < len(sent):
        batch = sent[position : position + target.room()]
        if batch:
            target.send(batch)
            position += len(batch)
        outcomes = target.outcomes(1.0)
        confirmed.update((record.offset, record) for record in outcomes.confirmed)
        refused.update((refusal.record.offset, refusal) for refusal in outcomes.refused)
        settled += len(outcomes.confirmed) + len(outcomes.refused)


def take(origin: Any, count: int) -> list[Message]:
    """Receive so many messages, without acknowledging them."""
    received: list[Message] = []
    for _ in range(ROUNDS_MAX):
        received += origin.receive(1.0, count - len(received))
        if len(received) == count:
            return received
    raise AssertionError(f"{len(received)} of {count} came")


@contextmanager
def channel(server: Server) -> Iterator[Any]:
    """A channel of pika that blocks, with confirms."""
    with closing(server.connect()) as connection:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
