"""The contenders: eventlog, and what else a program could keep its events in."""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.peer import Peer

# Each is the class `Contender` in the module of its name, which needs the peer's library.
EMBEDDED = ["eventlog", "files", "sqlite", "lmdb", "rocksdb", "queuelib", "persist_queue", "eventsourcing", "chronicle"]
SERVERS = ["redis", "nats", "rabbitmq", "kafka"]


def find(name: str) -> Peer | str:
    """A contender by name, or the reason why it cannot be run here."""
    try:
        module = import_module(f"benchmarks.peers.{name}")
    except ImportError as error:
        return f"the Python package {error.name} is not installed: pip install 'eventlog-store[bench]'"
    peer: Peer = module.Contender()
    return peer.why_not() or peer


def get(name: str) -> Peer:
    """A contender that is known to be there."""
    peer = find(name)
    assert isinstance(peer, Peer), peer
    return peer
