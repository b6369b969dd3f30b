"""What fulfils the contract. To test another implementation, add a function here that opens it.

The function gets what the fixture of that name gives: an empty directory, or the URL of an empty cluster. It is called more
than once with the same: then it gives another client of the same log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import eventlog
from eventlog import contract
from eventlog.kafka.log import KafkaLog
from tests.contract import another_process


class Implementation(NamedTuple):
    """Something that fulfils the contract.

    `calls_back` says that functions can be handed to it; `is_cluster`, that it is reached by Kafka's protocol, and so cannot do
    what docs/kafka.md names."""

    name: str
    open: Callable[[Any], AbstractContextManager[contract.Log]]
    fixture: str = "tmp_path"
    calls_back: bool = True
    is_cluster: bool = False


@contextmanager
def _directory(path: Path, *, fsync: str) -> Iterator[contract.Log]:
    with eventlog.open(path / "store", fsync=fsync) as log:
        yield log  # mypy checks here that the classes fulfil the contract


def _another_process(path: Path) -> AbstractContextManager[contract.Log]:
    return another_process.open_there(path / "store")


@contextmanager
def _cluster(url: str) -> Iterator[contract.Log]:
    with KafkaLog(url) as log:
        yield log


DIRECTORIES = [
    Implementation("directory, fsync=always", partial(_directory, fsync="always")),
    Implementation("directory, fsync=interval", partial(_directory, fsync="interval")),
    Implementation("directory, fsync=never", partial(_directory, fsync="never")),
    Implementation("another process", _another_process, calls_back=False),
]
SERVED = Implementation("eventlog serve", _cluster, fixture="served", is_cluster=True)
APACHE_KAFKA = Implementation("Apache Kafka", _cluster, fixture="emptied_cluster", is_cluster=True)


def those(fulfil: Callable[[Implementation], bool]) -> list[Any]:
    """The implementations that a test is for, as parameters; those with other needs are marked."""
    marks = {SERVED.name: [pytest.mark.clients], APACHE_KAFKA.name: [pytest.mark.kafka]}
    chosen = [each for each in (*DIRECTORIES, SERVED, APACHE_KAFKA) if fulfil(each)]
    return [pytest.param(each, id=each.name, marks=marks.get(each.name, [])) for each in chosen]
