"""The states in which a crash may leave a disk: all of them up to a bound, and beyond it some that are unlike each other."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torture.campaigns.power.disk import Disk, bind

# Made anew by whoever opens the store first; whatever stands in them says nothing.
IGNORED = frozenset({"lock.mdb", "signals"})
_HINTS = "shared"  # the directory of what is mapped and never synced: believed in part only, and mostly not at all

Tree = dict[str, bytes | None]


class Choice(NamedTuple):
    """Something that may be on disk as it was at one of these times, which rise; the first one is that of the last sync."""

    number: int  # of a change of names, or of a file
    sector: int | None  # None: a change of names; -1: the size
    times: tuple[int, ...]

    def __str__(self) -> str:
        what = "the change of names" if self.sector is None else "the size of file" if self.sector < 0 else "a sector of file"
        return f"{what} {self.number}" + (f", sector {self.sector}" if self.sector is not None and self.sector >= 0 else "")


@dataclass(frozen=True)
class CrashState:
    """The files as they are found afterwards, and the inodes that those in shared/ had before."""

    tree: Tree
    inodes: dict[str, int]
    taken: tuple[tuple[Choice, int], ...]

    def identity(self) -> int:
        """The same for states that do not differ."""
        return hash(frozenset(self.tree.items()))

    def __str__(self) -> str:
        lines = [f"{choice} is as of event {choice.times[version]}" for choice, version in self.taken
                 if version < len(choice.times) - 1]  # fmt: skip
        return "\n".join(lines) or "nothing was lost"


class CrashPoint:
    """A moment at which the power may go."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._assembled: dict[tuple[int, ...], bytes] = {}
        hints = self._hint_files()
        choices = list(self._choices())
        self.choices = [choice for choice in choices if choice.sector is None or choice.number not in hints]
        self.hints = [choice for choice in choices if choice.sector is not None and choice.number in hints]

    def _hint_files(self) -> set[int]:
        named = [(at, name, file) for at, names in self._disk.durable_names.items() for name, file in names.items()]
        named += [(at, name, file) for naming in self._disk.namings for at, name, file in naming.bindings if file is not None]
        directories = {file for _, name, file in named if name == _HINTS}
        self._known = {file for _, _, file in named}
        return {file for at, _, file in named if at in directories}

    def _choices(self) -> Iterator[Choice]:
        for number, naming in enumerate(self._disk.namings):
            if naming.unsynced and not all(name in IGNORED for _, name, _ in naming.bindings):
                yield Choice(number, None, (0, naming.time))
        for number in sorted(self._known):
            file = self._disk.files[number]
            if file is not None and len(file.sizes) > 1:
                yield Choice(number, -1, tuple(time for time, _ in file.sizes))
            for sector, versions in sorted(file.sectors.items()) if file is not None else ():
                if len(versions) > 1:
                    yield Choice(number, sector, tuple(time for time, _ in versions))

    def states(self, bound: int, choice: random.Random) -> Iterator[CrashState]:
        """States that may be found; about as many as `bound` says, each of them once."""
        seen = set()
        for vector in _vectors(self.choices, bound, choice):
            hints = _some_hints(self.hints, choice)
            state = self._state((*zip(self.choices, vector, strict=True), *zip(self.hints, hints, strict=True)))
            if state.identity() not in seen:
                seen.add(state.identity())
                yield state

    def _state(self, taken: tuple[tuple[Choice, int], ...]) -> CrashState:
        lost = {choice.number for choice, version in taken if choice.sector is None and version == 0}
        names = {directory: dict(entries) for directory, entries in self._disk.durable_names.items()}
        for number, naming in enumerate(self._disk.namings):
            if number not in lost:
                bind(names, naming)
        versions: dict[int, dict[int, int]] = {}
        for choice, version in taken:
            if choice.sector is not None:
                versions.setdefault(choice.number, {})[choice.sector] = version
        tree: Tree = {}
        inodes = {}
        for path, number in self._disk.paths(names):
            file = self._disk.files[number]
            if path.rpartition("/")[2] not in IGNORED:
                tree[path] = None if file is None else self._content(number, versions.get(number, {}))
                if file is not None:
                    inodes[path] = file.kernel_inode
        return CrashState(tree, inodes, taken)

    def _content(self, number: int, versions: dict[int, int]) -> bytes:
        key = (number, *itertools.chain.from_iterable(sorted(versions.items())))
        if key not in self._assembled:
            file = self._disk.files[number]
            assert file is not None
            sectors = {sector: file.sectors[sector][version][1] for sector, version in versions.items() if sector >= 0}
            self._assembled[key] = file.assemble(file.sizes[versions.get(-1, -1)][1], sectors)
        return self._assembled[key]


def _vectors(choices: Sequence[Choice], bound: int, choice: random.Random) -> Iterator[Sequence[int]]:
    """For each choice the number of the version that is taken."""
    counts = [len(each.times) for each in choices]
    if math.prod(counts) <= bound:
        yield from itertools.product(*map(range, counts))
        return
    latest, oldest = [count - 1 for count in counts], [0] * len(counts)
    orderly = [_as_of(choices, time) for time in sorted({time for each in choices for time in each.times})]
    extremes = [latest, oldest]
    for number in range(len(counts)):
        extremes += ([*latest[:number], version, *latest[number + 1 :]] for version in range(latest[number]))
        extremes.append([*oldest[:number], latest[number], *oldest[number + 1 :]])
    structured = orderly + extremes
    yield from structured if len(structured) <= bound // 2 else choice.sample(structured, bound // 2)
    for _ in range(bound - min(len(structured), bound // 2)):
        yield _at_random(counts, choice)


def _as_of(choices: Sequence[Choice], time: int) -> list[int]:
    """Everything that was done up to a moment is there, and nothing else."""
    return [max(version for version, moment in enumerate(each.times) if version == 0 or moment <= time) for each in choices]


def _at_random(counts: Sequence[int], choice: random.Random) -> list[int]:
    latest, oldest = choice.choice(((0.9, 0.05), (0.45, 0.45), (0.1, 0.8), (0.0, 0.0)))
    vector = []
    for count in counts:
        luck = choice.random()
        vector.append(count - 1 if luck < latest else 0 if luck < latest + oldest else choice.randrange(count))
    return vector


def _some_hints(hints: Sequence[Choice], choice: random.Random) -> list[int]:
    if choice.random() < 0.4:
        return [len(each.times) - 1 for each in hints]
    return _at_random([len(each.times) for each in hints], choice)
