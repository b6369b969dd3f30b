"""What the servers of a store count, in a file that every process can read without asking them.

A server counts in its own memory, and writes everything into its slot of `shared/server-counters` once a second. So counting
costs no system call, and reading costs the server nothing.
"""

from __future__ import annotations

import os
import struct
import time
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from eventlog.access import open_file
from eventlog.clock import now_ms
from eventlog.errors import translates_os_errors
from eventlog.storage.segments import names

LATENCY_BUCKETS = 24  # the first is of less than 1 us, each next one of up to twice as much, the last of everything above

_VERSION = 1
_HEADER = struct.Struct("=4q")
_WORD = 8
_SLOT_WORDS = 4096
_SLOT_BYTES = _SLOT_WORDS * _WORD
_STALE_MS = 5000  # a server that has written nothing for so long has ended, or is stopped
_FORMAT, _PROCESS, _STARTED_MS, _WRITTEN_MS, _CONNECTIONS, _ACCEPTED, _REFUSED, _FAILED, _THROTTLED = range(9)
_ERRORS_AT, _ERROR_WORDS, _ERRORS_MAX = 64, 8, 64
_APIS_AT, _API_WORDS = 576, 32
_APIS_MAX = (_SLOT_WORDS - _APIS_AT) // _API_WORDS
_REQUESTS, _NANOSECONDS, _BYTES_IN, _BYTES_OUT, _API_NAME, _LATENCIES = 0, 1, 2, 3, 4, 8


class ApiCounters(NamedTuple):
    """The requests of one API: their number, the time in seconds that answering them took, waiting included, the bytes of
    requests and answers, and how many took how long: bucket i counts those of less than 2^i microseconds, and the last all
    others."""

    requests: int
    seconds: float
    bytes_in: int
    bytes_out: int
    latencies: tuple[int, ...]


class ServerCounters(NamedTuple):
    """What one running server has counted since it started.

    `errors` counts the error codes that it answered with, by Kafka's names; `throttled` the requests that had to wait because
    others had used up the memory for requests; `failed` the connections that it closed because of what their clients sent."""

    number: int
    process_id: int
    started_ms: int
    connections: int
    accepted: int
    refused: int
    failed: int
    throttled: int
    errors: Mapping[str, int]
    apis: Mapping[str, ApiCounters]


@translates_os_errors()
class CountersWriter:
    """The counters of one server. For one thread."""

    def __init__(self, store: Path, number: int) -> None:
        self._words = [0] * _SLOT_WORDS
        self._apis: dict[int, int] = {}
        self._errors: dict[str, int] = {}
        self._words[_FORMAT], self._words[_PROCESS], self._words[_STARTED_MS] = _VERSION, os.getpid(), now_ms()
        self._position = number * _SLOT_BYTES
        self._file = os.fdopen(open_file(names.server_counters_file(store)), "r+b", buffering=0)

    def opened(self) -> None:
        """A connection was accepted."""
        self._words[_ACCEPTED] += 1

    def refused(self) -> None:
        """A connection was refused, because there were too many."""
        self._words[_REFUSED] += 1

    def failed(self) -> None:
        """A connection was closed because of what its client had sent."""
        self._words[_FAILED] += 1

    def note_throttled(self, count: int) -> None:
        """So many requests have had to wait for memory until now."""
        self._words[_THROTTLED] = count

    def note_errors(self, name: str, count: int) -> None:
        """An error code has been told so often until now."""
        at = self._errors.get(name)
        if at is None:
            at = _ERRORS_AT + min(len(self._errors), _ERRORS_MAX - 1) * _ERROR_WORDS
            self._errors[name] = at
            self._words[at + 1 : at + _ERROR_WORDS] = _name_words(name, _ERROR_WORDS - 1)
        self._words[at] = count

    def answered(self, key: int, nanoseconds: int, bytes_in: int, bytes_out: int) -> None:
        """A request of the API with this key, which `name_api` has named, was answered."""
        at, words = self._apis[key], self._words
        words[at] += 1
        words[at + 1] += nanoseconds  # literal numbers: looking up the names took a third of the time
        words[at + 2] += bytes_in
        words[at + 3] += bytes_out
        bucket = (nanoseconds // 1000).bit_length()
        words[at + 8 + (bucket if bucket < 23 else 23)] += 1

    def answered_together(self, key: int, count: int, nanoseconds: int, bytes_in: int, bytes_out: int) -> None:
        """So many requests of an API were answered together, one after the other, in this time."""
        at, words = self._apis[key], self._words
        words[at] += count
        words[at + 1] += nanoseconds
        words[at + 2] += bytes_in
        words[at + 3] += bytes_out
        words[at + 8 + min((nanoseconds // count // 1000).bit_length(), LATENCY_BUCKETS - 1)] += count

    def name_api(self, key: int, name: str) -> None:
        """Make room for the requests of an API."""
        at = _APIS_AT + min(len(self._apis), _APIS_MAX - 1) * _API_WORDS
        self._apis[key] = at
        self._words[at + _API_NAME : at + _LATENCIES] = _name_words(name, _LATENCIES - _API_NAME)

    def write(self, connections: int) -> None:
        """Let other processes see what was counted, and that so many connections are open. Raises `EventLogError`."""
        self._words[_CONNECTIONS], self._words[_WRITTEN_MS] = connections, _uptime_ms()
        os.pwrite(self._file.fileno(), array("q", self._words), self._position)

    def close(self) -> None:
        """Take the server off the list. A second call does nothing."""
        if not self._file.closed:
            with self._file:
                os.pwrite(self._file.fileno(), bytes(_HEADER.size), self._position)


def read_counters(store: Path) -> list[ServerCounters]:
    """The counters of all servers that run, by their numbers."""
    try:
        file = open(names.server_counters_file(store), "rb", buffering=0)  # noqa: SIM115
    except FileNotFoundError:
        return []
    with file:
        return [_parsed(number, words) for number, words in _live_slots(file.fileno())]


def _live_slots(file: int) -> Iterator[tuple[int, array[int]]]:
    for number in range(os.fstat(file).st_size // _SLOT_BYTES):
        header = os.pread(file, _HEADER.size, number * _SLOT_BYTES)
        version, _, _, written_ms = _HEADER.unpack(header)
        if version == _VERSION and 0 <= _uptime_ms() - written_ms < _STALE_MS:
            yield number, array("q", os.pread(file, _SLOT_BYTES, number * _SLOT_BYTES))


def _parsed(number: int, words: array[int]) -> ServerCounters:
    errors, apis = {}, {}
    for at in range(_ERRORS_AT, _ERRORS_AT + _ERRORS_MAX * _ERROR_WORDS, _ERROR_WORDS):
        if words[at]:
            errors[_name(words[at + 1 : at + _ERROR_WORDS])] = words[at]
    for at in range(_APIS_AT, _APIS_AT + _APIS_MAX * _API_WORDS, _API_WORDS):
        if words[at]:
            apis[_name(words[at + _API_NAME : at + _LATENCIES])] = ApiCounters(
                words[at], words[at + _NANOSECONDS] / 1e9, words[at + _BYTES_IN], words[at + _BYTES_OUT],
                tuple(words[at + _LATENCIES : at + _API_WORDS]),
            )  # fmt: skip
    return ServerCounters(
        number, words[_PROCESS], words[_STARTED_MS], words[_CONNECTIONS], words[_ACCEPTED], words[_REFUSED], words[_FAILED],
        words[_THROTTLED], errors, apis,
    )  # fmt: skip


def _name_words(name: str, count: int) -> list[int]:
    return list(array("q", name.encode()[: count * _WORD].ljust(count * _WORD, b"\0")))


def _name(words: array[int]) -> str:
    return words.tobytes().rstrip(b"\0").decode("ascii", "replace")


def _uptime_ms() -> int:
    return time.monotonic_ns() // 1_000_000
