"""A mirror as a bridge: one round after the other, through lost connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from eventlog.bridges.bridge import Bridge
from eventlog.bridges.endpoints import End
from eventlog.bridges.kafka.mirror.differences import Difference
from eventlog.bridges.progress import BridgeProgress
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.log import Log
from eventlog.options import check_seconds

_FIGURES_OF_COPIER = ("records", "bytes")


class Copier(End, Protocol):
    """One direction. `records` have been copied until now, with so many `bytes` of keys and values."""

    records: int
    bytes: int

    def round(self, *, execute: bool, may_go_on: Callable[[], bool]) -> Iterator[Difference]:
        """How the target differs now; with `execute` it does not any more afterwards, unless `may_go_on` says no.

        Raises `ConnectionLostError`, after which another round may be tried, `BridgeError`, and what appending raises."""


class Mirror(Bridge):
    """Keeps topics like those they are copied from, with settings, records and groups. Created by `EventLog.mirror`."""

    def __init__(
        self, log: Log, copier: Copier, topics: Sequence[str], *, every: float, give_up_after: float | None,
        on_difference: Callable[[Difference], object] | None,
    ) -> None:  # fmt: skip
        super().__init__(log, copier, BridgeProgress("mirror", ",".join(topics), copier.label), give_up_after)
        if check_seconds("every", every) is None:
            raise InvalidTypeError("every must be a number of seconds")
        self._copier = copier
        self._every = every
        self._on_difference = on_difference
        self._is_once = False
        self._left_out: set[Difference] = set()

    def run(self, until_idle: float | None = None, *, once: bool = False) -> None:
        """As `Bridge.run`; with `once`, until a round is complete: everything is copied that was there at its beginning."""
        self._is_once |= once
        super().run(until_idle)

    def start(self, until_idle: float | None = None, *, once: bool = False) -> None:
        """Work in a thread of this process, as `run` does. Raises `ThreadStartError`."""
        self._is_once |= once
        super().start(until_idle)

    def differences(self) -> list[Difference]:
        """What a round would do now; nothing is changed. Raises what `run` raises, and `InvalidArgumentError` while it runs."""
        if self.is_running:
            raise InvalidArgumentError(f"{self!r} runs: ask another one for the differences")
        self._log.store.check_open()
        try:
            return list(self._copier.round(execute=False, may_go_on=lambda: True))
        finally:
            self._copier.close()

    def _prepare(self) -> None:
        """Nothing: each round finds out what the target has."""

    def _connected(self) -> None:
        """Nothing, as for `_prepare`."""

    def _attend(self) -> None:
        """Nothing: nobody waits for this bridge."""

    def _finish(self) -> None:
        """Nothing: each round settles what it has begun."""

    def _figures(self) -> Mapping[str, Any]:
        return {name: getattr(self._copier, name) for name in _FIGURES_OF_COPIER}

    def _work(self, until_idle: float | None) -> None:
        idle_since = time.monotonic()
        while not self._is_stopping:
            found = list(map(self._tell, self._copier.round(execute=True, may_go_on=self._may_go_on)))
            self._left_out = {each for each in found if each.kind == "left out"}
            self._succeeded()
            if len(found) > len(self._left_out):
                idle_since = time.monotonic()
            elif until_idle is not None and time.monotonic() - idle_since >= until_idle:
                return
            if self._is_once:
                return
            self._wait(self._every)

    def _tell(self, difference: Difference) -> Difference:
        """Tell the program; of what is left out in each round only once."""
        if self._on_difference is not None and difference not in self._left_out:
            self._on_difference(difference)
        return difference

    def _may_go_on(self) -> bool:
        self._show()
        return not self._is_stopping
