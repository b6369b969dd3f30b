"""Several context managers as one behave as nested `with` statements do."""

from __future__ import annotations

import functools
from types import TracebackType

import pytest

from eventlog.nesting import Nested


class Manager:
    """Notes in a diary what happens to it; raises or suppresses where it is told to."""

    def __init__(self, diary: list[str], name: str, fails_in: str = "", suppresses: bool = False) -> None:
        self._diary = diary
        self._name = name
        self._fails_in = fails_in
        self._suppresses = suppresses

    def _note(self, what: str) -> None:
        self._diary.append(f"{what} {self._name}")
        if what.split()[0] == self._fails_in:
            raise LookupError(f"{what} {self._name}")

    def __enter__(self) -> str:
        self._note("enter")
        return self._name

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        assert type(error) is (kind or type(None)) and (error is None or error.__traceback__ is at)
        self._note(f"leave ({error!r})")
        return self._suppresses


@pytest.fixture
def diary() -> list[str]:
    return []


def _nested(*managers: Manager) -> Nested[str]:
    return Nested(tuple(functools.partial(lambda each: each, manager) for manager in managers), None)


def test_they_are_left_in_reverse_order_and_the_last_value_is_the_blocks(diary: list[str]) -> None:
    with _nested(Manager(diary, "one"), Manager(diary, "two")) as value:
        assert value == "two"
    assert diary == ["enter one", "enter two", "leave (None) two", "leave (None) one"]


def test_what_is_made_of_the_last_value_is_the_blocks(diary: list[str]) -> None:
    with Nested((lambda: Manager(diary, "one"),), str.upper) as value:
        assert value == "ONE"


def test_an_exception_of_the_block_goes_through_all(diary: list[str]) -> None:
    error = ValueError()
    with pytest.raises(ValueError) as raised, _nested(Manager(diary, "one"), Manager(diary, "two")):
        raise error
    assert raised.value is error
    assert diary[2:] == ["leave (ValueError()) two", "leave (ValueError()) one"]


def test_what_one_raises_as_it_is_left_takes_the_place_of_what_was_raised_before(diary: list[str]) -> None:
    with pytest.raises(LookupError, match="two") as raised, _nested(Manager(diary, "one"), Manager(diary, "two", "leave")):
        raise ValueError
    assert isinstance(raised.value.__context__, ValueError)
    assert "LookupError" in diary[-1] and diary[-1].endswith("one")


def test_one_that_suppresses_hides_it_from_the_others_and_the_caller(diary: list[str]) -> None:
    with _nested(Manager(diary, "one"), Manager(diary, "two", suppresses=True)):
        raise ValueError
    assert diary[-1] == "leave (None) one"


@pytest.mark.parametrize("fails", ["a step", "entering", "making"])
def test_those_that_were_entered_are_left_when_the_block_cannot_begin(diary: list[str], fails: str) -> None:
    def fail(*_: object) -> Manager:
        raise LookupError

    last = fail if fails == "a step" else lambda: Manager(diary, "two", "enter" if fails == "entering" else "")
    with pytest.raises(LookupError), Nested((lambda: Manager(diary, "one"), last), fail if fails == "making" else None):
        pytest.fail("the block began")
    assert diary[0] == "enter one" and diary[-1].startswith("leave (LookupError") and diary[-1].endswith("one")
