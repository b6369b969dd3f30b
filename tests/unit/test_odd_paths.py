"""Paths that are none: each call that takes one says so in one of the library's errors, and makes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import BackupError, EventLogError, InvalidArgumentError, InvalidTypeError, StoreOpenError
from tests.support import snapshots, stores


class OddPath:
    def __init__(self, name: Any) -> None:
        self._name = name

    def __fspath__(self) -> Any:
        return self._name


CALLS: dict[str, Callable[[Path, Any], object]] = {
    "open": lambda _, path: eventlog.open(path),
    "open what is there": lambda _, path: eventlog.open(path, create=False),
    "diagnose": lambda _, path: eventlog.diagnose(path),
    "verify a backup": lambda _, path: eventlog.verify_backup(path),
    "restore from": lambda store, path: eventlog.restore(path, store.parent / "restored"),
    "restore to": lambda store, path: eventlog.restore(store.parent / "backup", path),
    "back up": lambda store, path: backup(store, path),
}


def backup(store: Path, path: Any) -> None:
    with eventlog.open(store) as log:
        log.backup(path)


@pytest.fixture
def place(store: Path) -> Path:
    backup(store, store.parent / "backup")
    return store.parent


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    ("path", "error"),
    [
        (b"bytes", InvalidTypeError),
        (OddPath(b"bytes"), InvalidTypeError),
        (OddPath(5), InvalidTypeError),
        (5, InvalidTypeError),
        (None, InvalidTypeError),
        ("", InvalidArgumentError),
        ("a\0b", InvalidArgumentError),
        ("\ud800", InvalidArgumentError),
    ],
)
def test_what_can_be_no_path_is_refused(
    place: Path, call: Callable[[Path, Any], object], path: Any, error: type[EventLogError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    before = snapshots.content(place)
    with pytest.raises(error, match=r"^(path|backup|destination) (is|must be|cannot be) "):
        call(place / "store", path)
    assert snapshots.content(place) == before


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    "name", ["x" * 300, "/".join(["x" * 200] * 30), "file/store", "loop", "loop/store", "leads-nowhere"],
    ids=["long name", "long path", "below a file", "loop of links", "below a loop", "link that leads nowhere"],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_an_error_of_the_library(
    place: Path, call: Callable[[Path, Any], object], name: str
) -> None:
    (place / "file").touch()
    (place / "loop").symlink_to("loop")
    (place / "leads-nowhere").symlink_to("nothing")
    try:
        found = call(place / "store", place / name)
    except (StoreOpenError, BackupError) as error:
        assert str(place) in str(error)
    else:
        assert isinstance(found, list) and found[0].severity == "error" and str(place) in found[0].text
    assert not (place / "restored").exists() and not (place / "nothing").exists()


def test_a_relative_path_in_a_directory_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(InvalidArgumentError, match="give an absolute path"):
        eventlog.open("store")


def test_a_path_of_bytes_that_are_no_text_is_one_like_any_other(tmp_path: Path) -> None:
    store = tmp_path / os.fsdecode(b"\xff\x1b[2J\n")
    stores.create(store)
    with eventlog.open(store) as log:
        assert stores.open_partition(log).append(b"x") == 0
