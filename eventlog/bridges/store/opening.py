"""The other store of a bridge, and which of its failures are temporary."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from eventlog.bridges.endpoints import OpenLog
from eventlog.bridges.url import Url
from eventlog.errors import (
    BridgeError,
    ConnectionLostError,
    DiskFullError,
    EventLogError,
    InvalidArgumentError,
    LockTimeoutError,
    PoisonedError,
    StoreReplacedError,
    TopicExistsError,
    TopicNotFoundError,
)
from eventlog.options import check_topic_name

if TYPE_CHECKING:
    from eventlog import contract

_TEMPORARY = (DiskFullError, LockTimeoutError, PoisonedError, StoreReplacedError)


class Failures:
    """A block in which an error is told as a `ConnectionLostError` if it may be over later, and else as a `BridgeError`."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, EventLogError | OSError) and not isinstance(error, BridgeError | ConnectionLostError):
            told = ConnectionLostError if isinstance(error, (*_TEMPORARY, OSError)) else BridgeError
            raise told(f"{self._label}: {error}") from error


class OtherStore:
    """A topic in another store, which is opened again after each failure. `log` is None while it is not open."""

    system = "eventlog"

    def __init__(self, url: Url, open_log: OpenLog, create: str | None, options: frozenset[str] = frozenset()) -> None:
        if url.hosts or url.user is not None or not url.path or not url.fragment:
            raise InvalidArgumentError(f"{url} must be like eventlog:/DIR#TOPIC: a directory here, and a topic in it")
        url.check_options(set(options))
        self.label = str(url)
        self.topic = check_topic_name(url.fragment)
        self.log: contract.Log | None = None
        self._directory = url.path
        self._open_log = open_log
        self._create = create

    def open(self) -> contract.Log:
        """Open the store, and create the topic if that is wanted. Raises `BridgeError`, `ConnectionLostError`."""
        with self.failures():
            try:
                log = self.log = self._open_log(self._directory)
                self._find_topic(log)
                return log
            except TopicNotFoundError as error:
                raise BridgeError(f"{self.label}: {error}; --create creates it") from error

    def _find_topic(self, log: contract.Log) -> None:
        try:
            log.topic(self.topic)
        except TopicNotFoundError:
            if self._create is None:
                raise
            with suppress(TopicExistsError):
                log.create_topic(self.topic, _partitions(self._create))

    def failures(self) -> Failures:
        """A block in which a failure of this store is told as one of the bridge's other end."""
        return Failures(self.label)

    def close(self) -> None:
        """Close the store."""
        log, self.log = self.log, None
        if log is not None:
            with suppress(EventLogError):
                log.close()


def _partitions(create: str) -> int:
    """The number of partitions that --create asks for; 1 without one."""
    if create and not (create.isascii() and create.isdigit()):
        raise InvalidArgumentError(f"a topic is created with a number of partitions, not {create!r}")
    return int(create or 1)
