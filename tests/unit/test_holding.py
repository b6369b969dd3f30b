"""Holding a lock or a file for the length of a block that a signal's handler interrupts anywhere."""

from __future__ import annotations

import fcntl
import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventlog._native import lib
from eventlog.access import new_file, open_file_into
from eventlog.holding import Holding
from eventlog.storage.segments.file_locks import locked_alone
from eventlog.storage.segments.lock import segments_locked
from tests.support.descriptors import open_files

ROUNDS = 3000


class Interruption(Exception):
    pass


@contextmanager
def interrupted_by_timers() -> Iterator[Callable[[float], None]]:
    """A function that has the next steps interrupted after so many seconds; 0: not any more."""

    def interrupt(*_: object) -> None:
        raise Interruption

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    finally:
        signal.signal(signal.SIGALRM, former)


def rounds_with_interrupts(work: Callable[[], object]) -> list[Interruption]:
    """What the handler has raised in many rounds of some work, with everything that it hangs on."""
    raised = []
    with interrupted_by_timers() as interrupt_after:
        for number in range(ROUNDS):
            try:
                interrupt_after(1e-6 + number % 100 * 1e-6)
                work()
                interrupt_after(0)
            except Interruption as interruption:
                raised.append(interruption)
    return raised


def test_what_was_taken_is_given_back_once_and_the_answer_is_handed_over() -> None:
    steps: list[str] = []
    with Holding(lambda: steps.append("taken") or "answer", functools.partial(steps.append, "given back")) as answer:
        steps.append(answer)
    assert steps == ["taken", "answer", "given back"]


def test_it_is_given_back_when_the_block_raises_and_when_taking_it_does() -> None:
    steps: list[str] = []
    give_back = functools.partial(steps.append, "given back")
    with pytest.raises(ZeroDivisionError), Holding(lambda: None, give_back):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), Holding(lambda: 1 // 0, give_back):
        steps.append("never")
    assert steps == ["given back", "given back"]


def test_an_interrupt_leaves_no_lock_behind_for_as_long_as_the_exception_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def work() -> None:
        with segments_locked(tmp_path, 1000), locked_alone(path) as is_mine:
            assert is_mine

    kept = rounds_with_interrupts(work)
    assert kept
    for file in (path, tmp_path):
        descriptor = os.open(file, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it
        os.close(descriptor)


def test_an_interrupt_leaves_no_file_open_for_as_long_as_the_exception_is_kept(tmp_path: Path) -> None:
    def work() -> None:
        file = new_file()
        try:
            open_file_into(file, tmp_path / "made")
            (tmp_path / "made").unlink()
        finally:
            lib.el_file_close(file)

    kept = rounds_with_interrupts(work)
    assert kept
    assert not open_files(tmp_path)
