"""Patterns of topic names in RE2's syntax, matched in time that is linear in the length of a name, whatever a client sends.

Python's `re` would take exponential time for some patterns, and hold the interpreter meanwhile. A pattern becomes a
nondeterministic automaton over the characters of topic names, and has to match a whole name, as in Kafka.

Supported are literals, `.`, classes with ranges, negation and POSIX names, `\\d \\w \\s \\D \\W \\S`, `\\Q...\\E`,
`\\xHH`, groups, alternatives, repetition (up to 1,000), the anchors `^ $ \\A \\z`, and the flags `i m s U`. Word boundaries and
Unicode classes are not; nor are backreferences and look-around, which RE2 does not have.

Sources: https://github.com/google/re2/wiki/Syntax; Ken Thompson, "Regular Expression Search Algorithm", 1968.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

_ALPHABET = frozenset(string.ascii_letters + string.digits + "._-")  # of topic names
_LENGTH_MAX = 4096
_STATES_MAX = 4000
_DEPTH_MAX = 100
_REPEAT_MAX = 1000
_MOVES_MAX = 10_000

_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": frozenset(" \t\n\r\f")}
_POSIX = {
    "alnum": _WORD - {"_"},
    "alpha": frozenset(string.ascii_letters),
    "ascii": _ALPHABET,
    "blank": frozenset(" \t"),
    "cntrl": frozenset[str](),
    "digit": _DIGITS,
    "graph": _ALPHABET,
    "lower": frozenset(string.ascii_lowercase),
    "print": _ALPHABET,
    "punct": frozenset(string.punctuation),
    "space": frozenset(" \t\n\r\f\v"),
    "upper": frozenset(string.ascii_uppercase),
    "word": _WORD,
    "xdigit": frozenset(string.hexdigits),
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT = re.compile(r"\{(\d{1,9})(?:(,)(\d{1,9})?)?\}")
_GROUP = re.compile(r"\?(?:P?<(?P<name>\w+)>|(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<end>[:)]))")
_HEX = re.compile(r"x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})")
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w+):\]")


class InvalidPatternError(Exception):
    """A pattern is not valid, or uses what is not supported."""


class _Node(NamedTuple):
    """A part of a pattern: characters, an anchor, a sequence, a choice, or a repetition of its only item."""

    kind: str
    characters: frozenset[str] = frozenset()
    items: tuple[_Node, ...] = ()
    least: int = 0
    most: int | None = None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._ignores_case = False

    def parse(self) -> _Node:
        node = self._choice()
        if self._at < len(self._text):
            raise InvalidPatternError(f"unexpected ) at {self._at}")
        return node

    def _accepts(self, expected: str) -> bool:
        if self._text.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise InvalidPatternError("the pattern ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _choice(self) -> _Node:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise InvalidPatternError("its groups are nested too deeply")
        case = self._ignores_case
        items = [self._sequence()]
        while self._accepts("|"):
            items.append(self._sequence())
        self._ignores_case = case
        self._depth -= 1
        return items[0] if len(items) == 1 else _Node("choice", items=tuple(items))

    def _sequence(self) -> _Node:
        items: list[_Node] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if self._accepts("\\Q"):
                quoted, _, _ = self._text[self._at :].partition("\\E")
                self._at += len(quoted)
                self._accepts("\\E")
                items += map(self._literal, quoted)
                if quoted:
                    items.append(self._repeated(items.pop()))
            elif self._text.startswith("\\E", self._at):
                self._at += 2
            else:
                items.append(self._repeated(self._atom()))
        return _Node("sequence", items=tuple(items))

    def _repeated(self, node: _Node) -> _Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        self._accepts("?")  # lazy or not makes no difference for a whole name
        if self._bounds() is not None:
            raise InvalidPatternError(f"nested repetition before {self._at}")
        least, most = bounds
        if max(least, most or 0) > _REPEAT_MAX or (most is not None and most < least):
            raise InvalidPatternError(f"repetition from {least} to {most} times")
        return _Node("repeat", items=(node,), least=least, most=most)

    def _bounds(self) -> tuple[int, int | None] | None:
        for operator, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._accepts(operator):
                return bounds
        match = _REPEAT.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        least = int(match[1])
        return least, (int(match[3]) if match[3] else None) if match[2] else least

    def _atom(self) -> _Node:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in "*+?":
            raise InvalidPatternError(f"nothing to repeat at {self._at - 1}")
        if character == ".":
            return _Node("characters", _ALPHABET)
        if character in "^$":
            return _Node("start" if character == "^" else "end")
        return self._literal(character)

    def _literal(self, character: str) -> _Node:
        return self._characters(frozenset(character))

    def _characters(self, characters: frozenset[str]) -> _Node:
        if self._ignores_case:
            characters = frozenset(each for known in characters for each in (known.lower(), known.upper()))
        return _Node("characters", characters & _ALPHABET)

    def _group(self) -> _Node:
        case = self._ignores_case
        match = _GROUP.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            on, _, off = (match["flags"] or "").partition("-")
            self._ignores_case = (case or "i" in on) and "i" not in off
            if match["end"] == ")":
                return _Node("sequence")  # the flags hold for the rest of the group that this is in
        elif self._text.startswith("?", self._at):
            raise InvalidPatternError(f"a group of an unsupported kind at {self._at}")
        node = self._choice()
        self._ignores_case = case
        if not self._accepts(")"):
            raise InvalidPatternError("missing )")
        return node

    def _escape(self) -> _Node:
        if self._accepts("A") or self._accepts("z"):
            return _Node("start" if self._text[self._at - 1] == "A" else "end")
        return self._characters(self._escaped())

    def _escaped(self) -> frozenset[str]:
        """The characters that an escape sequence after a backslash stands for."""
        match = _HEX.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            code = int(match[1] or match[2], 16)
            return frozenset(chr(code) if code <= 0x10FFFF else "")
        character = self._next()
        if character.lower() in _CLASSES:
            characters = _CLASSES[character.lower()]
            return characters if character.islower() else _ALPHABET - characters
        if character in _CONTROLS:
            return frozenset(_CONTROLS[character])
        if character.isascii() and character.isalnum():
            raise InvalidPatternError(f"\\{character} is not supported")
        return frozenset(character)

    def _class(self) -> _Node:
        is_negated = self._accepts("^")
        characters: set[str] = set()
        is_first = True
        while is_first or not self._accepts("]"):
            is_first = False
            characters |= self._class_item()
        found = self._characters(frozenset(characters)).characters
        return _Node("characters", _ALPHABET - found if is_negated else found)

    def _class_item(self) -> frozenset[str]:
        match = _POSIX_CLASS.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
            if match[2] not in _POSIX:
                raise InvalidPatternError(f"no class is named {match[2]}")
            return _ALPHABET - _POSIX[match[2]] if match[1] else _POSIX[match[2]]
        low = self._class_characters()
        if not self._text.startswith("-", self._at) or self._text.startswith("-]", self._at):
            return low
        self._at += 1
        high = self._class_characters()
        if len(low) != 1 or len(high) != 1 or min(low) > min(high):
            raise InvalidPatternError(f"a range that is not valid before {self._at}")
        return frozenset(each for each in _ALPHABET if min(low) <= each <= min(high))

    def _class_characters(self) -> frozenset[str]:
        character = self._next()
        return self._escaped() if character == "\\" else frozenset(character)


class _State(NamedTuple):
    """A state that one of `characters` leads out of, to `following`; or, without any, that an anchor or nothing does."""

    kind: str
    characters: frozenset[str]
    following: tuple[int, ...]


class TopicPattern:
    """A pattern of topic names. Raises `InvalidPatternError`."""

    def __init__(self, text: str) -> None:
        if len(text) > _LENGTH_MAX:
            raise InvalidPatternError(f"it has more than {_LENGTH_MAX} characters")
        self._states: list[_State] = [_State("match", frozenset(), ())]
        self._start = self._compiled(_Parser(text).parse(), 0)
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def _add(self, kind: str, following: tuple[int, ...], characters: frozenset[str] = frozenset()) -> int:
        if len(self._states) >= _STATES_MAX:
            raise InvalidPatternError("it is too large")
        self._states.append(_State(kind, characters, following))
        return len(self._states) - 1

    def _compiled(self, node: _Node, after: int) -> int:
        """Add the states of a node that `after` follows; returns the first."""
        if node.kind == "sequence":
            for item in reversed(node.items):
                after = self._compiled(item, after)
            return after
        if node.kind == "choice":
            return self._add("any", tuple(self._compiled(item, after) for item in node.items))
        if node.kind == "repeat":
            return self._repeated(node, after)
        return self._add(node.kind, (after,), node.characters)

    def _repeated(self, node: _Node, after: int) -> int:
        item = node.items[0]
        if node.most is None:
            loop = self._add("any", ())
            self._states[loop] = _State("any", frozenset(), (self._compiled(item, loop), after))
            after = loop
        for _ in range((node.most or node.least) - node.least):
            after = self._add("any", (self._compiled(item, after), after))
        for _ in range(node.least):
            after = self._compiled(item, after)
        return after

    def matches(self, name: str) -> bool:
        """Does the whole name match?"""
        current = frozenset((self._start,))
        for position, character in enumerate(name):
            key = (current, character)
            following = self._moves.get(key) if position else None
            if following is None:
                reached = self._reached(current, at_start=position == 0, at_end=False)
                following = frozenset(self._states[each].following[0] for each in reached if self._may_read(each, character))
                if position and len(self._moves) < _MOVES_MAX:
                    self._moves[key] = following
            if not following:
                return False
            current = following
        return 0 in self._reached(current, at_start=not name, at_end=True)

    def _may_read(self, state: int, character: str) -> bool:
        return character in self._states[state].characters

    def _reached(self, states: frozenset[int], *, at_start: bool, at_end: bool) -> set[int]:
        """These states, and all that can be reached from them without reading a character."""
        passes = {"any": True, "start": at_start, "end": at_end}
        reached, waiting = set(states), list(states)
        while waiting:
            state = self._states[waiting.pop()]
            if passes.get(state.kind, False):
                new = [each for each in state.following if each not in reached]
                reached.update(new)
                waiting += new
        return reached
