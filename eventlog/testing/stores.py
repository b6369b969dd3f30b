"""The fixture `eventlog_store`: a store for each test, cloned from one that was filled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventlog.testing.clones import clone_store
from eventlog.testing.directories import temporary_directory

if TYPE_CHECKING:
    from eventlog.api import EventLog

Fill = Callable[["EventLog"], object]

MARKER = "eventlog_store"


class Templates:
    """Directories that are cloned for tests, by the function that has filled each: a store `store`, and what the function has
    put beside it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._filled: dict[Fill | None, Path] = {}
        self._count = 0

    def clone(self, fill: Fill | None) -> Path:
        """A new directory with a clone of what this function fills, which is called the first time; None: an empty store.
        Returns the path of the store."""
        if fill not in self._filled:
            self._filled[fill] = self._fill(fill)
        clone = self._new_directory()
        clone_store(self._filled[fill], clone)
        return clone / "store"

    def _fill(self, fill: Fill | None) -> Path:
        import eventlog

        directory = self._new_directory()
        directory.mkdir()
        with eventlog.open(directory / "store", fsync="never") as log:
            if fill is not None:
                fill(log)
        return directory

    def _new_directory(self) -> Path:
        self._count += 1
        return self._directory / str(self._count)


@pytest.fixture(scope="session")
def eventlog_templates() -> Iterator[Templates]:
    """The stores that are cloned for the tests of this session."""
    with temporary_directory() as directory:
        yield Templates(directory)


def fill_of(request: pytest.FixtureRequest) -> Fill | None:
    """The function that the nearest marker names; None without one. Raises `pytest.UsageError`."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        return None
    fill: Fill | None = marker.kwargs.get("fill")
    if marker.args or len(marker.kwargs) != 1 or not callable(fill):
        raise pytest.UsageError(f"the marker {MARKER} takes a function by name, as in {MARKER}(fill=function)")
    return fill


@pytest.fixture
def eventlog_store(request: pytest.FixtureRequest, eventlog_templates: Templates) -> Iterator[EventLog]:
    """An open store for this test alone: empty, or as the function of `@pytest.mark.eventlog_store(fill=…)` has filled it.

    The function is called once, however many tests use it, and each of them gets a clone. Nothing is synced to disk."""
    import eventlog

    with eventlog.open(eventlog_templates.clone(fill_of(request)), fsync="never") as log:
        yield log
