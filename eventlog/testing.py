"""A broker for tests: the pytest fixture `kafka_broker`, and the block that it is made of.

pytest finds the fixture by itself once eventlog is installed. Each test gets a broker of its own with an empty store, on a free
port, within milliseconds; clients of Kafka in any language connect to its `bootstrap`, and the test can look at the same store
through its `log`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from eventlog.api import EventLog

MARKER = "kafka_broker"
_IN_MEMORY = Path("/dev/shm")  # where a store is created in 3 ms; on a disk that takes up to 0.1 s
_FREE_BYTES_MIN = 2**30


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
    directory = tempfile.mkdtemp(prefix="eventlog-", dir=_IN_MEMORY if _is_roomy(_IN_MEMORY) else None)
    try:
        with run_broker(Path(directory) / "store", **(marker.kwargs if marker is not None else {})) as broker:
            yield broker
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_roomy(directory: Path) -> bool:
    """Can files of some size be created there? The shared memory of a container often has only 64 MiB."""
    try:
        free = os.statvfs(directory)
    except OSError:
        return False
    return os.access(directory, os.W_OK) and free.f_bavail * free.f_frsize >= _FREE_BYTES_MIN


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{MARKER}(**options): options of EventLog.serve for the fixture {MARKER}")
