"""A broker for tests: the pytest fixture `kafka_broker`, and the block that it is made of.

Each test gets a broker of its own with an empty store, on a free port, within milliseconds; clients of Kafka in any language
connect to its `bootstrap`, and the test can look at the same store through its `log`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from eventlog.testing.directories import temporary_directory

if TYPE_CHECKING:
    from eventlog.api import EventLog

MARKER = "kafka_broker"


class KafkaBroker:
    """A running broker: `bootstrap` is where clients connect, as HOST:PORT; `log` is the same store, embedded."""

    def __init__(self, bootstrap: str, log: EventLog) -> None:
        self.bootstrap = bootstrap
        self.log = log

    def __repr__(self) -> str:
        return f"<KafkaBroker {self.bootstrap} of {self.log.path}>"


@contextmanager
def run_broker(directory: str | os.PathLike[str], **options: Any) -> Iterator[KafkaBroker]:
    """A broker over a store in this directory, for the length of a block; the port is a free one.

    The options are those of `EventLog.serve`, except `port`. Nothing is synced to disk, so that tests are quick. The store
    stays in the directory. Raises what `eventlog.open` and `EventLog.serve` raise."""
    import eventlog

    with eventlog.open(directory, fsync="never") as log, log.serve(port=0, **options) as server:
        yield KafkaBroker(server.bootstrap, log)


@pytest.fixture
def kafka_broker(request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A broker for this test alone, with an empty store, which is deleted after the test.

    `@pytest.mark.kafka_broker(partitions=3)` gives it options of `EventLog.serve`."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is not None and marker.args:
        raise pytest.UsageError(f"the marker {MARKER} takes options by name, such as partitions=3")
    options = marker.kwargs if marker is not None else {}
    with temporary_directory() as directory, run_broker(directory / "store", **options) as broker:
        yield broker
