"""The power fails: every state in which a crash may leave the disk by the rules of a file system is recovered from."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from pathlib import Path

from tests.support.processes import Interpreter
from torture.campaign import Campaign, Run
from torture.campaigns.power import recording
from torture.campaigns.power.laboratory import Amount, work
from torture.campaigns.power.workloads import WORKLOADS

_MEMORY = Path("/dev/shm")
_PROCESSES = 2


def _run(run: Run) -> None:
    amount = Amount(*run.amount((16, 250, 3), (150, 3000, 8)))
    seeds = run.amount(1, 4)
    orders = deque((workload.__name__, run.random.getrandbits(32), amount) for _ in range(seeds) for workload in WORKLOADS)
    library = recording.build(run.directory)
    # In memory, where fsync costs nothing: what it does to a disk is known from the record.
    where = Path(tempfile.mkdtemp(prefix="eventlog-power-", dir=_MEMORY if _MEMORY.is_dir() else run.directory))
    _work_off(run, orders, library, where)
    shutil.rmtree(where)


def _work_off(run: Run, orders: deque, library: Path, where: Path) -> None:
    ...


CAMPAIGN = Campaign(
    "power",
    "After a power cut everything that was promised to be on disk is there, and nothing that is wrong",
    _run,
    lambda: None if shutil.which("gcc") else "gcc is not installed",
)
