"""Patterns of topic names: RE2's syntax, against Python's `re` where both have the same."""

from __future__ import annotations

import random
import re

import pytest

from eventlog.serve.coordinator.topic_patterns import InvalidPatternError, TopicPattern

NAMES = ["a", "b", "aa", "ab", "aab", "abab", "A", "orders", "orders-1", "orders.eu", "Orders_2", "0", "-", "._-", "x" * 249]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("", []),
        ("orders", ["orders"]),
        ("orders.*", ["orders", "orders-1", "orders.eu"]),
        ("^orders[-.].+$", ["orders-1", "orders.eu"]),
        (r"orders\.eu|[[:digit:]]", ["orders.eu", "0"]),
        (r"\Qorders.eu\E", ["orders.eu"]),
        (r"\Qa\E+b?", ["a", "aa", "ab", "aab"]),
        ("(?i)ORDERS", ["orders"]),
        ("(?i:o)rders(?P<rest>_.)?", ["orders", "Orders_2"]),
        ("(^a|^b)b?$", ["a", "b", "ab"]),
        ("a^b|a$b", []),
        ("[^a-z]", ["A", "0", "-"]),
        ("[]._-]{3}", ["._-"]),
        (r"\x61\x{62}", ["ab"]),
        ("(a|ab)(b|ab)*", ["a", "ab", "aab", "abab"]),
        ("x{249}", ["x" * 249]),
        (r"\Aa{1,2}?\z", ["a", "aa"]),
        ("a{,2}", []),
        ("(?:(a*)*)*b", ["b", "ab", "aab"]),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, matching: list[str]) -> None:
    compiled = TopicPattern(pattern)
    assert [name for name in NAMES if compiled.matches(name)] == matching


@pytest.mark.parametrize(
    "pattern",
    [
        *["(", ")", "a)", "[", "[a", "[z-a]", "*", "a**", "a{2}{3}", "a{3,2}", "a{1001}", r"\1", r"\b", r"\pL", "\\", "(?=a)"],
        *["(?<!a)", "(?P<n", "[[:no:]]", "(" * 200 + ")" * 200, "((a{100}){100}){100}", "a" * 5000, r"\x{110000"],
    ],
)
def test_what_is_not_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError):
        TopicPattern(pattern)


def test_a_pattern_that_would_take_for_ever_elsewhere_does_not_here() -> None:
    assert not TopicPattern("(x+x+)+y").matches("x" * 249)
    assert not TopicPattern("(x?){300}x{300}").matches("x" * 249)


def test_random_patterns_match_as_they_do_in_python() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)

    def pattern(depth: int) -> str:
        kind = choose.randrange(8) if depth else 0
        if kind < 3:
            return choose.choice(["a", "b", ".", "[ab]", "[^a]", r"\w", "^", "$"])
        if kind < 5:
            return pattern(depth - 1) + pattern(depth - 1)
        if kind == 5:
            return f"({pattern(depth - 1)}|{pattern(depth - 1)})"
        return f"(?:{pattern(depth - 1)}){choose.choice(['*', '+', '?', '{2}', '{0,2}', '{1,}'])}"

    for _ in range(500):
        text = pattern(4)
        ours, theirs = TopicPattern(text), re.compile(text, re.DOTALL)
        for name in ("a", "b", "ab", "ba", "abb", "aabb", "abab", "bbbb"):
            assert ours.matches(name) == bool(re.fullmatch(theirs, name)), (text, name)
