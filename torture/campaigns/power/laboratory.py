"""Where the power fails: a process that records a workload, and recovers from every state in which that may leave the disk."""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from eventlog.storage.segments.boot import boot_id
from torture.campaigns.power import recording, workloads
from torture.campaigns.power.disk import Disk
from torture.campaigns.power.examination import examine
from torture.campaigns.power.promises import Journal, Note, Promises, after
from torture.campaigns.power.recording import Kind, Recording
from torture.campaigns.power.states import IGNORED, CrashPoint, CrashState, Tree
from torture.campaigns.power.workloads import Workload

_FORMER_BOOT = b"an earlier boot!"


class Amount(NamedTuple):
    """How much to try: so many crash points of a recording, up to so many states at each of them, and crashes in the middle of
    the recovery from so many of these states."""

    points: int
    states: int
    recoveries: int


class Order(NamedTuple):
    """Something to try: a workload by its name, the seed that makes it another one each time, and how much."""

    workload: str
    seed: int
    amount: Amount


def work(connection: Connection, directory: Path) -> None:
    """Try each order that is sent. After each crash point what was counted is reported, and None once the order is done."""
    while True:
        order = connection.recv()
        Laboratory(directory, order, connection.send).try_out()
        connection.send(None)


class Laboratory:
    """One order. Files below `directory` stay if something fails; `tell` is called with what was counted now and then."""

    def __init__(self, directory: Path, order: Order, tell: Callable[[Counter[str]], None]) -> None:
        self._directory = directory
        self._order = order
        self._tell = tell
        self._random = random.Random(order.seed)
        self._tried: set[tuple[int, int]] = set()
        self._counts: Counter[str] = Counter()

    def try_out(self) -> None:
        """Record the workload, and recover from the states that it may leave; crash in some of these recoveries, too."""
        amount = self._order.amount
        root = _empty(self._directory / "recorded")
        found, notes = self._record(getattr(workloads, self._order.workload), root)
        recoveries = self._explore(found, notes, Promises(), amount)
        for state, promises in self._random.sample(recoveries, min(amount.recoveries, len(recoveries))):
            self._materialise(state, _empty(root))
            self._tried.clear()
            found, notes = self._record(workloads.recovery, root)
            self._explore(found, notes, promises, amount._replace(points=amount.points // 4))
            self._counts["recoveries crashed in"] += 1
        self._tell(self._counts)

    def _record(self, workload: Workload, root: Path) -> tuple[Recording, list[Note]]:
        notes: list[Note] = []

        def note(entry: Note) -> None:
            notes.append(entry)
            recording.mark(len(notes))

        with recording.recorded(root) as found:
            workload(Journal(note), root, self._random)
        _check_completeness(found, root)
        self._counts["workloads recorded"] += 1
        self._counts["events"] += len(found.events)
        return found, notes

    def _explore(
        self, found: Recording, notes: list[Note], before: Promises, amount: Amount
    ) -> list[tuple[CrashState, Promises]]:
        """Try the states at some of the crash points, in order; these states are returned with what was promised then."""
        chosen = set(self._random.sample(range(len(found.events)), min(amount.points, len(found.events))))
        tried: list[tuple[CrashState, Promises]] = []
        for number, noted, disk in _moments(found):
            if number in chosen:
                promises = after(notes[:noted], before)
                for state in CrashPoint(disk).states(amount.states, self._random):
                    if (identity := (state.identity(), noted)) not in self._tried:
                        self._tried.add(identity)
                        with self._told(found, number, notes[:noted], state):
                            self._try_state(state, promises)
                        tried.append((state, promises))
                self._counts["crash points"] += 1
                self._tell(self._counts)
                self._counts.clear()
        return tried

    def _try_state(self, state: CrashState, promises: Promises) -> None:
        root = _empty(self._directory / "crashed")
        self._materialise(state, root)
        examine(workloads.store_in(root), promises)
        self._counts["crash states recovered"] += 1

    @contextmanager
    def _told(self, found: Recording, number: int, notes: list[Note], state: CrashState) -> Iterator[None]:
        """Let a failure tell what led to it, and leave the state as it was found."""
        try:
            yield
        except Exception as error:
            failed = _empty(self._directory / "failed")
            self._materialise(state, failed)
            events = "\n".join(f"  {at}: {found.events[at]}" for at in range(max(0, number - 15), number + 1))
            raise AssertionError(
                f"{self._order}, at event {number} of {len(found.events)}: {error}\n"
                f"last noted: {[name for name, _ in notes[-3:]]}\n{state}\nthe events before it:\n{events}\n"
                f"the state that was found is in {failed}"
            ) from error

    def _materialise(self, state: CrashState, root: Path) -> None:
        device = root.stat().st_dev
        for path, content in state.tree.items():  # a directory comes before what is in it
            if content is None:
                (root / path).mkdir()
                continue
            with open(root / path, "wb") as file:
                if "/shared/" in path:
                    content = _moved(content, device, state.inodes[path], os.fstat(file.fileno()).st_ino)
                file.write(content)


def _moved(content: bytes, device: int, former: int, inode: int) -> bytes:
    """What a mapped file holds after a reboot, and as if it were still the same file."""
    content = content.replace(boot_id(), _FORMER_BOOT)
    return content.replace(struct.pack("=QQ", device, former), struct.pack("=QQ", device, inode))


def _moments(found: Recording) -> Iterator[tuple[int, int, Disk]]:
    """Each event, how much had been noted by then, and the disk as it may be then; it changes with the next one."""
    disk = Disk.of(found.initial)
    noted = 0
    for number, event in enumerate(found.events):
        disk.apply(number + 1, event)
        if event.kind == Kind.MARK:
            noted = event.position
        yield number, noted, disk
        disk.complete(event)


def _check_completeness(found: Recording, root: Path) -> None:
    """A call that the recorder does not know would make all that follows worthless."""
    disk = deque(_moments(found), maxlen=1)[0][2]
    recorded, there = _known(disk.visible()), _known(recording.tree_of(root))
    different = {path for path in recorded.keys() | there.keys() if recorded.get(path, b"-") != there.get(path, b"-")}
    assert not different, f"the record does not lead to what is there: {sorted(different)}"


def _known(tree: Tree) -> Tree:
    return {path: content for path, content in tree.items() if path.rpartition("/")[2] not in IGNORED}


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory
