"""Bits rot: one is flipped in a closed store, which is then opened and read in every way, after a close, a reboot or a kill.

Every case runs in a worker process: one that dies, hangs or raises anything but an error of ours is a broken promise. LMDB
checks nothing of its own pages, so a worker that dies of a bit in the catalog's file is counted, not blamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tests.support.processes import Worker, WorkerFailed
from torture.campaign import Campaign, Run
from torture.campaigns.rot.formats import MAGICS, MOMENTS, Foreign, meet_foreign_batches
from torture.campaigns.rot.looking import KILLED, REBOOTED, REOPENED, Case, flip_bits

_CATALOG = "meta/data.mdb"
_LOCKS = "meta/lock.mdb"  # LMDB's own, and made anew by who opens the catalog alone
_HEAD_BYTES_USED = 704
_WORKERS = 2
_THOROUGH = 16  # one case of so many is looked at by the doctor, too


class _Flipper:
    """A worker that flips bits in a store of its own; a new one, with a new store, takes the place of one that died."""

    def __init__(self, run: Run, number: int, is_large: bool) -> None:
        self._run = run
        self._number = number
        self._is_large = is_large
        self._lives = 0
        self._start()

    def _start(self) -> None:
        directory = self._run.directory / f"{'large' if self._is_large else 'store'}-{self._number}-{self._lives}"
        self._worker = Worker(flip_bits, directory, self._run.seed, self._is_large)
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
    """The bits of a file to be flipped: in the long form every one of a file of the log, and some of all others."""
    used = 8 * (min(size, _HEAD_BYTES_USED) if name.endswith(".head") else size)
    wanted = run.amount(28, used if name.startswith("logs/") else 3000)
    return sorted(run.random.sample(range(used), min(wanted, used)))


def _cases(run: Run, sizes: dict[str, int]) -> Iterator[Case]:
    for name, size in sorted(sizes.items()):
        if name != _LOCKS:
            for number, bit in enumerate(_bits(run, name, size)):
                moment = run.random.choice(_moments(name))
                yield Case(name, bit, moment, number % _THOROUGH == 0 and name != _CATALOG)


def _cases_of_large(run: Run, sizes: dict[str, int]) -> Iterator[Case]:
    """Some bits of each file of a log that is as long as logs are."""
    for name, size in sorted(sizes.items()):
        if name.startswith("logs/"):
            for number in range(run.amount(1, 24)):
                yield Case(name, run.random.randrange(8 * size), (REOPENED, REBOOTED)[number % 2], number % _THOROUGH == 0)


def run(run: Run) -> None:
    """Flip bits in all files of a small store, then some in a large one; then let batches be of a format that is not known."""
    _flip(run, is_large=False)
    _flip(run, is_large=True)
    _meet_formats(run)


def _meet_formats(run: Run) -> None:
    """Batches that this version cannot read, in all files of the small store."""
    with Worker(meet_foreign_batches, run.directory / "formats", run.seed) as worker:
        batches: dict[str, list[int]] = worker.receive()
        cases = [
            Foreign(name, position, magic, moment)
            for name, positions in sorted(batches.items())
            for position in positions
            for magic in MAGICS
            for moment in MOMENTS
        ]
        for case in run.random.sample(cases, min(len(cases), run.amount(40, len(cases)))):
            worker.send(case)
            try:
                worker.receive()
            except (EOFError, WorkerFailed) as error:
                raise AssertionError(f"{case}: {error or 'the process died'}") from error
            run.count("batches of a format that is not known")


def _flip(run: Run, *, is_large: bool) -> None:
    flippers = [_Flipper(run, number, is_large) for number in range(_WORKERS)]
    try:
        cases = (_cases_of_large if is_large else _cases)(run, flippers[0].sizes)
        for flipper, case in zip(flippers, cases, strict=False):
            flipper.begin(case)
        busy = [*flippers]
        while busy:
            flipper = busy.pop(0)
            outcome = flipper.finish()
            run.count("bits of a large log flipped" if is_large else "bits flipped")
            run.count(outcome)
            for case in islice(cases, 1):
                flipper.begin(case)
                busy.append(flipper)
    finally:
        for flipper in flippers:
            flipper.close()


CAMPAIGN = Campaign(
    "rot",
    "A flipped bit anywhere in a store gives no wrong record, no crash and no error but ours, and damage to a log is reported.",
    run,
)
