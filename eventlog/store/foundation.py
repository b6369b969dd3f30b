"""What an open store stands on: its directory, its bells and its catalog, opened to change the store or to read it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from eventlog.catalog.catalog import Catalog
from eventlog.catalog.copied import CopiedCatalog
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.options import StoreOptions
from eventlog.storage.mapped.gate import Gate
from eventlog.storage.segments import names
from eventlog.storage.segments.claims import Claims
from eventlog.storage.segments.store import (
    OpenDirectory,
    ReadOnlyDirectory,
    StoreDirectory,
    complete_store,
    os_errors_of_opening,
)
from eventlog.store.adoption import adopt_topics
from eventlog.store.closing import Step
from eventlog.waiting import Signals

_FOLLOW_MS = 100
"""How often a process that only reads looks for what others have written: nobody rings its bells."""


class Foundation(NamedTuple):
    """`interval_ms` is how often a thread looks after the partitions; `closing_steps` close all this."""

    directory: OpenDirectory
    claims: Claims
    signals: Signals
    catalog: Catalog
    interval_ms: int
    closing_steps: tuple[Step, ...]


def open_to_write(path: Path, options: StoreOptions, *, create: bool) -> Foundation:
    """Open a store as one of those who change it. Raises `StoreOpenError`, `DiskFullError`, `LockTimeoutError`, and then leaves
    nothing open."""
    with ExitStack() as opened:  # closed again unless everything succeeds
        directory = StoreDirectory(path, create=create, lock_timeout_ms=options.lock_timeout_ms)
        opened.callback(directory.close)
        claims = Claims(directory)
        with os_errors_of_opening(path):
            signals = Signals(names.signals_file(directory.path))
            gate = Gate(
                names.catalog_gate_file(directory.path),
                claims.of("gate", "", 0),
                f"has been changing the catalog of {path}",
                lock_timeout_ms=options.lock_timeout_ms,
            )
        opened.callback(gate.close)
        is_new = directory.is_new
        environment = CatalogEnvironment(names.catalog_directory(directory.path), create=is_new, gate=gate.passed)
        opened.callback(environment.close)
        catalog = Catalog(environment)
        if is_new:
            complete_store(directory.path)
        adopt_topics(directory.path, catalog.topics, options.lock_timeout_ms)
        directory.settle()
        opened.pop_all()
        steps = catalog.close, gate.close, directory.close
        return Foundation(directory, claims, signals, catalog, options.fsync_interval_ms, steps)


def open_to_read(path: Path) -> Foundation:
    """Open a store without changing or locking anything. Raises `StoreOpenError`, and then leaves nothing open."""
    with ExitStack() as opened:
        directory = ReadOnlyDirectory(path)
        opened.callback(directory.close)
        with os_errors_of_opening(path):
            signals = Signals(None)
        catalog = Catalog(CopiedCatalog(names.catalog_directory(directory.path)))
        directory.settle()
        opened.pop_all()
        return Foundation(directory, Claims(directory), signals, catalog, _FOLLOW_MS, (catalog.close, directory.close))
