"""The power fails: every state in which a crash may leave the disk by the rules of a file system is recovered from."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.support.processes import Interpreter
from torture.campaign import Campaign, Run
from torture.campaigns.power import recording
from torture.campaigns.power.laboratory import Amount, Order, work
from torture.campaigns.power.workloads import WORKLOADS

_MEMORY = Path("/dev/shm")
_PROCESSES = 2


def _run(run: Run) -> None:
    amount = Amount(run.amount(30, 120), run.amount(16, 60), run.amount(2, 3))
    seeds = run.amount(1, 3)
    orders = [Order(workload.__name__, run.random.getrandbits(32), amount) for _ in range(seeds) for workload in WORKLOADS]
    for what, number in try_out(orders, run.directory).items():
        run.count(what, number)


def try_out(orders: list[Order], directory: Path) -> Counter[str]:
    """Try all orders, in two processes; what was counted. Raises `AssertionError`, which says where the files are."""
    library = recording.build(directory)
    # In memory, where fsync costs nothing: what it does to a disk is known from the record.
    where = Path(tempfile.mkdtemp(prefix="eventlog-power-", dir=_MEMORY if _MEMORY.is_dir() else directory))
    with ExitStack() as stack:
        workers = [stack.enter_context(_start(library, where / str(number))) for number in range(_PROCESSES)]
        pool = stack.enter_context(ThreadPoolExecutor(_PROCESSES))
        remaining = deque(orders)
        counts = sum(pool.map(_work_off, workers, [remaining] * _PROCESSES), Counter[str]())
    shutil.rmtree(where)
    return counts


def _start(library: Path, directory: Path) -> Interpreter:
    directory.mkdir()
    return Interpreter(work, directory, prefix=["env", f"LD_PRELOAD={library}"])


def _work_off(worker: Interpreter, remaining: deque[Order]) -> Counter[str]:
    """Let a process try orders until none are left, or one fails; what it counted."""
    counts: Counter[str] = Counter()
    try:
        while remaining:
            order = remaining.popleft()
            worker.send(order)
            while (counted := worker.receive()) is not None:
                counts.update(counted)
    except EOFError:
        raise AssertionError(f"the process ended while it tried {order}") from None
    finally:
        remaining.clear()
    return counts


CAMPAIGN = Campaign(
    "power",
    "After a power cut everything that was promised to be on disk is there, and nothing that is wrong.",
    _run,
    lambda: None if shutil.which("gcc") else "gcc is not installed",
)
