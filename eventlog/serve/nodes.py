"""The servers of a store. To clients each is a broker, with a number and an address, and each knows which others are alive.

A server holds two locks on the file `shared/servers`, which vanish with its process. One makes a number its own. The other says
that its entry in the file is complete, and that clients can connect.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from eventlog.errors import EventLogError, LockTimeoutError
from eventlog.groups.presence import ProcessPresence
from eventlog.storage.segments import names

NODES_MAX = 64
_ENTRY_BYTES = 512  # a host name has up to 253 characters
_LISTED = 1024  # added to a server's number: the byte with its second lock
_ANY_ADDRESS = {"0.0.0.0", "::"}
_EXPECTED_SECONDS = 10.0  # a worker is usually started again at once


class Node(NamedTuple):
    """A server as a broker that clients can connect to."""

    id: int
    host: str
    port: int


class Nodes:
    """This server, and the other servers of its store. Safe for several threads."""

    def __init__(self, store: Path, number: int = 1) -> None:
        """Take a number: this one if it is free, else the next one that is. Raises `EventLogError` if none is."""
        path = names.servers_file(store)
        self._presence = ProcessPresence(path, lock_timeout_ms=0)
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115
        self._ended_at: dict[int, float | None] = {}  # by number; None: it was alive when this was asked last
        try:
            self.own_id = self._claimed_number(number)
        except BaseException:
            self.close()
            raise

    def _claimed_number(self, first: int) -> int:
        for number in chain(range(first, NODES_MAX + 1), range(1, first)):
            with suppress(LockTimeoutError):
                self._presence.announce(number)
                return number
        raise EventLogError(f"the store has {NODES_MAX} servers already: stop one of them")

    def announce(self, host: str, port: int) -> None:
        """Tell the other servers where clients connect to this one."""
        entry = json.dumps({"host": host, "port": port}).encode()
        os.pwrite(self._file.fileno(), entry.ljust(_ENTRY_BYTES, b"\0"), self.own_id * _ENTRY_BYTES)
        self._presence.announce(_LISTED + self.own_id)

    def withdraw(self) -> None:
        """Tell the other servers that clients can no longer connect to this one, and that it does not come back."""
        if self._file.closed:  # a second call
            return
        with suppress(OSError):  # then it is expected back for a moment
            os.pwrite(self._file.fileno(), bytes(_ENTRY_BYTES), self.own_id * _ENTRY_BYTES)
        self._presence.withdraw(_LISTED + self.own_id)

    def live(self, own_host: str, own_port: int) -> list[Node]:
        """All live servers by their numbers: this one at the given address, others at the ones that they have announced. One
        that listens on all addresses of the machine is reached on the same address as this one."""
        others = [node for node in self._announced(own_host) if self._presence.is_alive(_LISTED + node.id)]
        self._ended_at.update({node.id: None for node in others})
        return sorted([Node(self.own_id, own_host, own_port), *others])

    def with_expected(self, live: Sequence[Node], own_host: str) -> list[Node]:
        """Live servers, and those that were killed a moment ago: usually they are started again. They coordinate nothing, but
        a client may forget what waits for a broker that is not listed any more (librdkafka's issue 5511)."""
        expected, now = {node.id: node for node in live}, time.monotonic()
        for node in self._announced(own_host):
            if node.id not in expected and node.id in self._ended_at:
                ended_at = self._ended_at[node.id]
                if ended_at is None:
                    ended_at = self._ended_at[node.id] = now
                if now - ended_at < _EXPECTED_SECONDS:
                    expected[node.id] = node
        return sorted(expected.values())

    def _announced(self, own_host: str) -> list[Node]:
        """The other servers that have announced an address and not withdrawn it, whether they are alive or not."""
        data, nodes = os.pread(self._file.fileno(), (NODES_MAX + 1) * _ENTRY_BYTES, 0), []
        for number in range(1, len(data) // _ENTRY_BYTES):
            entry = data[number * _ENTRY_BYTES :][:_ENTRY_BYTES].rstrip(b"\0")
            if entry and number != self.own_id:
                with suppress(ValueError):  # a server that has just died, and its successor is writing its entry
                    address = json.loads(entry)
                    host = own_host if address["host"] in _ANY_ADDRESS else address["host"]
                    nodes.append(Node(number, host, address["port"]))
        return nodes

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if the file has been deleted: other servers would not know of this one."""
        self._presence.check_not_replaced()

    def close(self) -> None:
        """Give the number back. A second call does nothing."""
        self._presence.close()
        self._file.close()


def node_of_key(nodes: Sequence[Node], key: str) -> Node:
    """The server that coordinates what has this key: a group's or a transactional id. While it is alive, it stays the same
    one, whichever others come and go (rendezvous hashing)."""
    return max(nodes, key=lambda node: hashlib.sha256(f"{node.id} {key}".encode()).digest())


def leader_of(nodes: Sequence[Node], topic: str, partition: int) -> Node:
    """The server that clients are to use for a partition, although each one serves all. The partitions of a topic are spread
    evenly, and each topic begins with another server: most topics have one partition."""
    return nodes[(zlib.crc32(topic.encode()) + partition) % len(nodes)]
