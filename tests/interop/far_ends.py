"""The other ends of bridges, all used in one way: started, stopped and killed, given messages, and emptied."""

from __future__ import annotations

import signal
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eventlog.bridges.stomp.sink import StompSink
from eventlog.bridges.stomp.source import StompSource
from tests.interop import active_mq, apache_kafka
from tests.interop.kafka_clusters import KafkaCluster

_USER, _PASSWORD = "ann", "a-p4ssword-of-the-tests"
_QUEUES = 20  # that are made at a time, because it takes RabbitMQ seconds to have on disk that they are there
WINDOW_RECORDS = 200  # of bridges under test: several are under way in each of them


class FarEnd(ABC):
    """A server with its data in a directory of its own. `repeats_max` is how many records a death may repeat there, of a ship
    whose window is `WINDOW_RECORDS`; what a bridge collects from it is there once, whatever dies."""

    repeats_max = 0
    impatience = ""  # an option of its URLs: give up bridges that say nothing after a second or two

    @property
    @abstractmethod
    def sink(self) -> type:
        """What a ship sends to it by."""

    @property
    @abstractmethod
    def source(self) -> type:
        """What a bridge collects from it by."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and return once it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Let it end by itself."""

    @abstractmethod
    def kill(self) -> None:
        """Kill it, as it is. Nothing, if it does not run."""

    def close(self) -> None:
        """Kill it, with everything that it has started."""
        self.kill()

    @abstractmethod
    def pause(self) -> None:
        """Let it do nothing, with all connections open, until `resume`."""

    @abstractmethod
    def resume(self) -> None:
        """Let it go on."""

    @abstractmethod
    def new_queue(self) -> str:
        """Have a queue, or topic, that nobody uses and that will be there after a kill; returns its name."""

    @abstractmethod
    def url(self, queue: str, options: str = "") -> str:
        """For a bridge, with these options."""

    @abstractmethod
    def login(self, queue: str) -> tuple[str, str]:
        """A URL with a user, without the password, and the password."""

    @abstractmethod
    def put(self, queue: str, values: Sequence[bytes]) -> None:
        """Have it accept messages, as it does those of any program."""

    @abstractmethod
    def arrived(self, queue: str) -> list[bytes]:
        """Everything that is there, in its order; a queue is empty then."""


class KafkaEnd(FarEnd):
    """Apache Kafka."""

    def __init__(self, directory: Path) -> None:
        self._broker = apache_kafka.Broker(directory)
        self.cluster = KafkaCluster(self._broker.address)
        self._is_new = True

    @property
    def sink(self) -> type:
        from eventlog.bridges.kafka.sink import KafkaSink

        return KafkaSink

    @property
    def source(self) -> type:
        from eventlog.bridges.kafka.source import KafkaSource

        return KafkaSource

    def start(self) -> None:
        self._broker.start().close()
        if self._is_new:
            self.cluster.await_groups()
            self._is_new = False

    def stop(self) -> None:
        self._broker.stop()

    def kill(self) -> None:
        self._broker.kill()

    def pause(self) -> None:
        self._broker.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._broker.signal(signal.SIGCONT)

    def new_queue(self) -> str:
        name = f"topic-{uuid.uuid4()}"
        self.cluster.create_topic(name)
        return name

    def url(self, queue: str, options: str = "") -> str:
        return self.cluster.url(queue, options)

    def login(self, queue: str) -> tuple[str, str]:
        """The broker knows no users, so no password is right."""
        return f"kafka://{_USER}@{self.cluster.bootstrap}/{queue}?security.protocol=SASL_PLAINTEXT", _PASSWORD

    def put(self, queue: str, values: Sequence[bytes]) -> None:
        self.cluster.produce(queue, values)

    def arrived(self, queue: str) -> list[bytes]:
        return [value or b"" for value in self.cluster.values(queue)]


class ServerEnd(FarEnd):
    """One whose server the tests can already start, stop, kill and pause."""

    _server: Any

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def pause(self) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()


class RabbitEnd(ServerEnd):
    """RabbitMQ, with quorum queues."""

    repeats_max = WINDOW_RECORDS
    impatience = "heartbeat=1"

    def __init__(self, directory: Path) -> None:
        from tests.interop.rabbitmq.server import Server

        self._server = Server(directory)
        self._new: list[str] = []

    @property
    def sink(self) -> type:
        from eventlog.bridges.amqp.sink import RabbitSink

        return RabbitSink

    @property
    def source(self) -> type:
        from eventlog.bridges.amqp.source import RabbitSource

        return RabbitSource

    def close(self) -> None:
        self._server.close()

    def new_queue(self) -> str:
        if not self._new:
            from tests.interop.rabbitmq import ends

            self._new = [ends.new_name() for _ in range(_QUEUES)]
            with ends.channel(self._server) as channel:
                for name in self._new:
                    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            self._server.settle()
        return self._new.pop()

    def url(self, queue: str, options: str = "") -> str:
        return f"{self._server.url}?queue={queue}{'&' if options else ''}{options}"

    def login(self, queue: str) -> tuple[str, str]:
        with suppress(AssertionError):  # it is there already
            self._server.control("add_user", _USER, _PASSWORD)
        self._server.control("set_permissions", _USER, ".*", ".*", ".*")
        return self.url(queue).replace("guest:guest", _USER), _PASSWORD

    def put(self, queue: str, values: Sequence[bytes]) -> None:
        import pika

        from tests.interop.rabbitmq import ends

        with ends.channel(self._server) as channel:
            for value in values:
                identified = pika.BasicProperties(message_id=value.split()[0].decode(), delivery_mode=2)
                channel.basic_publish("", queue, value, identified)

    def arrived(self, queue: str) -> list[bytes]:
        from tests.interop.rabbitmq import ends

        found = []
        with ends.channel(self._server) as channel:
            channel.basic_publish("", queue, b"last")
            for _, _, body in channel.consume(queue, auto_ack=True):
                if body == b"last":
                    break
                found.append(body)
        return found


class ActiveMqEnd(ServerEnd):
    """ActiveMQ, of either kind."""

    impatience = "heartbeat=1"

    def __init__(self, kind: type[active_mq.Server], directory: Path) -> None:
        self._server = kind(directory)
        if kind is active_mq.Classic:
            self.repeats_max = WINDOW_RECORDS

    @property
    def sink(self) -> type:
        return StompSink

    @property
    def source(self) -> type:
        return StompSource

    def new_queue(self) -> str:
        return f"queue-{uuid.uuid4()}"

    def url(self, queue: str, options: str = "") -> str:
        return self._server.url(queue, f"?{options}" if options else "")

    def login(self, queue: str) -> tuple[str, str]:
        server = self._server
        user, password = (_USER, _PASSWORD) if server.login is None else (server.login, server.password or "")
        return f"stomp://{user}@127.0.0.1:{server.port}/queue/{queue}", password

    def put(self, queue: str, values: Sequence[bytes]) -> None:
        self._server.put(queue, *(([], value) for value in values))

    def arrived(self, queue: str) -> list[bytes]:
        return [frame.body for frame in self._server.take_all(queue)]


class System(NamedTuple):
    """How to have a far end: `missing` fetches it, and says why it cannot be had here, if so."""

    make: Callable[[Path], FarEnd]
    missing: Callable[[], str | None]
    is_required: Callable[[], bool]


def _rabbitmq_missing() -> str | None:
    with suppress(ModuleNotFoundError):
        from tests.interop.rabbitmq.server import why_not

        return why_not()
    return "pika is not installed"


SYSTEMS = {
    "kafka": System(KafkaEnd, apache_kafka.fetch, apache_kafka.is_required),
    "rabbitmq": System(RabbitEnd, _rabbitmq_missing, active_mq.is_required),
    "activemq": System(
        lambda directory: ActiveMqEnd(active_mq.Classic, directory), active_mq.fetch_classic, active_mq.is_required
    ),
    "artemis": System(
        lambda directory: ActiveMqEnd(active_mq.Artemis, directory), active_mq.fetch_artemis, active_mq.is_required
    ),
}
PARAMETERS = [pytest.param(name, id=name, marks=getattr(pytest.mark, name)) for name in SYSTEMS]
