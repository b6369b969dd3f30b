"""The worker: hands out the records of a share group's topics as jobs, each of which is finished by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from eventlog.errors import InvalidTypeError, StaleMemberError
from eventlog.options import check_number, check_timeout
from eventlog.storage.mapped.share_page import ShareStates
from eventlog.worker.core import WorkerCore
from eventlog.worker.job import Job, settle_all
from eventlog.worker.running import Runner

_JOBS_MAX = 2**31 - 1
_THREADS_MAX = 1000


class Worker:
    """Works on topics together with the other workers of its group, in any number of processes. Created by `EventLog.worker`.

    Any of its methods may be called by several threads. `group` is the name of the group; `core` does the work, and is for the
    rest of this library only."""

    def __init__(self, core: WorkerCore) -> None:
        self.group = core.group
        self.core = core

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self.core.name

    def __iter__(self) -> Iterator[Job]:
        """Every job, one after the other; waits for more at the end. Each has to be settled, best by `with job:`."""
        return self.core.jobs()

    def claim(self, max_jobs: int = 1, timeout: float | None = 1.0) -> list[Job]:
        """Up to `max_jobs` jobs; [] if there are none within `timeout` seconds (None: wait without a limit).

        Records that were given back come first. Raises `CorruptLogError`, `WakeupError`."""
        check_number("max_jobs", max_jobs, 1, _JOBS_MAX)
        check_timeout(timeout)
        return self.core.claim(max_jobs, timeout)

    def accept(self, jobs: Iterable[Job]) -> None:
        """The work on all of these jobs is done. Raises `StaleMemberError` if this worker does not have some of them any more;
        the others are accepted."""
        checked = list(jobs)
        for job in checked:
            if not isinstance(job, Job):
                raise InvalidTypeError(f"accept takes jobs, not {type(job).__name__}")
        refused = settle_all(checked, self.core)
        if refused:
            raise StaleMemberError(
                f"{refused} of {len(checked)} jobs were not accepted, because this worker does not have them any more: they "
                "were settled before, their locks have ended, or the group was reset"
            )

    def run(self, function: Callable[[Job], object], *, threads: int = 1) -> None:
        """Call `function` with each job, in so many threads, until `stop` is called.

        A job is accepted when the function returns, unless the function has settled it, and released with back-off when it
        raises, which is logged. The lock of a job that takes long is renewed. The call raises what keeps a thread from going
        on, such as `StoreClosedError`, and lets the jobs in hand finish when it is interrupted."""
        if not callable(function):
            raise InvalidTypeError(f"function must be callable, not {type(function).__name__}")
        check_number("threads", threads, 1, _THREADS_MAX)
        Runner(self.core, function).run(threads)

    def wakeup(self) -> None:
        """Let a claim that is waiting raise `WakeupError`; if there is none, the next one does so, once. Any thread may call
        this, and a signal handler at any moment. No job is lost."""
        self.core.interruption.wake_up()

    def stop(self) -> None:
        """Let each iteration and `run` end after the jobs in hand, and `claim` return [] from now on, at once even if it is
        waiting. Any thread may call this, and a signal handler at any moment. Jobs can still be settled."""
        self.core.stop()

    @property
    def is_stopped(self) -> bool:
        """Was `stop` called?"""
        return self.core.interruption.is_stopped

    def states(self) -> ShareStates:
        """How many records of the group are in each state, of those between the committed offsets and the first ones that
        nobody has had."""
        return self.core.states()

    def close(self) -> None:
        """Leave the group. Jobs in hand are given back at once, as if they had not been delivered: settle them before. A close
        that was interrupted, or raised an error, may be repeated."""
        self.core.close()
