"""A log that another process has open, and stand-ins for it and for what is made from it.

A stand-in has what `eventlog.contract` names, and nothing else. What it is asked is sent to the process, as to a server; so a
test that passes with it needs nothing of a log but the contract.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, cast

import eventlog
from eventlog import contract
from tests.support.processes import Worker

_LOG = 0  # the number of the log itself
_KINDS: dict[type, str] = {
    eventlog.TopicDescription: "Topic",
    eventlog.Partition: "Partition",
    eventlog.TransactionalProducer: "TransactionalProducer",
    eventlog.Producer: "Producer",
    eventlog.Receipt: "Receipt",
    eventlog.Consumer: "Consumer",
    eventlog.Group: "Group",
}


class _Call(NamedTuple):
    number: int
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class _Raised(NamedTuple):
    kind: type[BaseException]
    text: str


class _Made(NamedTuple):
    """What stays in the other process, by its number there, and what the contract calls it."""

    number: int
    kind: str


def _kind_of(value: object) -> str | None:
    if isinstance(value, Iterator):
        return "Iterator"
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), None)


def serve(connection: Connection, store: Path) -> None:
    """Have the store open, and do what the stand-ins ask for, until they are gone."""
    with eventlog.open(store) as log:
        made: list[Any] = [log]
        connection.send(None)
        while True:
            try:
                call = connection.recv()
            except EOFError:
                return
            connection.send(_answer(call, made))


def _answer(call: _Call, made: list[Any]) -> object:
    try:
        attribute = getattr(made[call.number], call.name)
        result = attribute(*call.arguments, **call.options) if callable(attribute) else attribute
    except Exception as error:
        return _Raised(type(error), str(error))
    kind = _kind_of(result)
    if kind is None:
        return result
    made.append(result)
    return _Made(len(made) - 1, kind)


class _Connection:
    """The way to the other process. Threads ask one after the other."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lock = threading.Lock()

    def ask(self, call: _Call) -> Any:
        with self._lock:
            self._worker.send(call)
            answer = self._worker.receive()
        if isinstance(answer, _Raised):
            error = answer.kind.__new__(answer.kind)
            error.args = (answer.text,)
            raise error
        return StandIn(self, answer.number, answer.kind) if isinstance(answer, _Made) else answer


class StandIn:
    """Stands for one object in the other process."""

    def __init__(self, connection: _Connection, number: int, kind: str) -> None:
        self._connection = connection
        self._number = number
        self._kind = kind

    def _ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        return self._connection.ask(_Call(self._number, name, arguments, options))

    def __getattr__(self, name: str) -> Any:
        if isinstance(getattr(getattr(contract, self._kind), name), property):
            return self._ask(name)
        return partial(self._ask, name)

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ask("__exit__", kind, None, None)

    def __iter__(self) -> Iterator[Any]:
        return cast("Iterator[Any]", self if self._kind == "Iterator" else self._ask("__iter__"))

    def __next__(self) -> Any:
        return self._ask("__next__")


@contextmanager
def open_there(store: Path) -> Iterator[contract.Log]:
    """The log of a store that a process of its own has open."""
    with Worker(serve, store) as worker:
        worker.receive()
        yield cast("contract.Log", StandIn(_Connection(worker), _LOG, "Log"))
