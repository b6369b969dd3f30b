"""A store for tests in which processes die. It is removed afterwards: some of them are large."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """The path of a store that holds the empty topic `events`, in segments of 1 MiB."""
    path = tmp_path / "store"
    stores.create(path, segment_bytes=2**20)
    yield path
    shutil.rmtree(path)
