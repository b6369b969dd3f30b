"""Bits rot: one is flipped in a closed store, which is then opened and read in every way, after a close, a reboot or a kill.

Every case runs in a worker process: one that dies, hangs or raises anything but an error of ours is a broken promise. LMDB
checks nothing of its own pages, so a worker that dies of a bit in the catalog's file is counted, not blamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tests.support.processes import Worker, WorkerFailed
from torture.campaign import Campaign, Run
from torture.campaigns.rot.looking import KILLED, REBOOTED, REOPENED, Case, flip_bits

_CATALOG = "meta/data.mdb"
_LOCKS = "meta/lock.mdb"  # LMDB's own, and made anew by who opens the catalog alone
_HEAD_BYTES_USED = 704
_WORKERS = 2
_THOROUGH = 16  # one case of so many is looked at by the doctor, too


class _Flipper:
    """A worker that flips bits in a store of its own; a new one, with a new store, takes the place of one that died."""

    def __init__(self, run: Run, number: int) -> None:
        self._run = run
        self._number = number
        self._lives = 0
        self._start()

    def _start(self) -> None:
        directory = self._run.directory / f"store-{self._number}-{self._lives}"
        self._worker = Worker(flip_bits, directory, self._run.seed)
        self.sizes: dict[str, int] = self._worker.receive()
        self._lives += 1

    def begin(self, case: Case) -> None:
        self.case = case
        self._worker.send(case)

    def finish(self) -> str:
        """What came of the case. Raises AssertionError with the case."""
        try:
            outcome: str = self._worker.receive()
        except EOFError:
            if self.case.name != _CATALOG:
                raise AssertionError(f"the process died: {self.case}") from None
            self._worker.kill()
            self._start()
            return "processes that LMDB took down"
        except WorkerFailed as error:
            raise AssertionError(f"{self.case}: {error}") from error
        return outcome

    def close(self) -> None:
        self._worker.kill()


def _moments(name: str) -> tuple[str, ...]:
    if name.endswith(".head"):
        return REOPENED, REBOOTED, KILLED
    return (REOPENED,) if name in (_CATALOG, "store.json") else (REOPENED, REBOOTED)


def _bits(run: Run, name: str, size: int) -> list[int]:
    """The bits of a file to be flipped: every one of a file of the log in the long form, and some of what is mostly zeros."""
    used = 8 * (min(size, _HEAD_BYTES_USED) if name.endswith(".head") else size)
    wanted = run.amount(14, used if name.startswith("logs/") or name.endswith(".head") else 3000)
    return sorted(run.random.sample(range(used), min(wanted, used)))


def _cases(run: Run, sizes: dict[str, int]) -> Iterator[Case]:
    for name, size in sorted(sizes.items()):
        if name != _LOCKS:
            for moment in _moments(name):
                for number, bit in enumerate(_bits(run, name, size)):
                    yield Case(name, bit, moment, number % _THOROUGH == 0 and name != _CATALOG)


def run(run: Run) -> None:
    """Flip bits in all files, with several workers."""
    flippers = [_Flipper(run, number) for number in range(_WORKERS)]
    try:
        cases = _cases(run, flippers[0].sizes)
        for flipper, case in zip(flippers, cases, strict=False):
            flipper.begin(case)
        busy = [*flippers]
        while busy:
            flipper = busy.pop(0)
            outcome = flipper.finish()
            run.count("bits flipped")
            run.count(outcome)
            for case in islice(cases, 1):
                flipper.begin(case)
                busy.append(flipper)
    finally:
        for flipper in flippers:
            flipper.close()


CAMPAIGN = Campaign(
    "rot",
    "a flipped bit anywhere in a store gives no wrong record, no crash and no error but ours, and damage to a log is reported",
    run,
)
