"""What the server keeps of the catalog in memory, and loads again whenever any process has changed it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import Executor
from typing import Generic, TypeVar

from eventlog.store.store import Store

_Loaded = TypeVar("_Loaded")


class KeptCatalog(ABC, Generic[_Loaded]):
    """A part of the catalog. For one event loop."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._version = -1
        self._loading = asyncio.Lock()

    @abstractmethod
    def load(self) -> _Loaded:
        """Read it; called in a thread."""

    @abstractmethod
    def take(self, loaded: _Loaded) -> None:
        """Use what `load` has returned, from now on; called on the event loop."""

    @property
    def is_current(self) -> bool:
        """Is this what the catalog has now?"""
        return self._store.signals.catalog_version == self._version

    async def refresh(self) -> None:
        """Load it, if the catalog has changed; once for all requests that come meanwhile."""
        if not self.is_current:
            async with self._loading:
                await self._refresh()

    async def _refresh(self) -> None:
        version = self._store.signals.catalog_version  # before loading: a later change causes another load
        if version != self._version:
            self.take(await asyncio.get_running_loop().run_in_executor(self._executor, self.load))
            self._version = version
