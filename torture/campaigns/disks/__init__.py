"""Disks lie and fill: every file system call of every kind of work fails in turn, in every way that its man page allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait

from tests.support import faults
from tests.support.faults import Fault
from tests.support.processes import REPLY_SECONDS_MAX, Interpreter, Worker
from torture.campaign import Campaign, Run
from torture.campaigns.disks.bench import Tried, serve
from torture.campaigns.disks.cases import cases
from torture.campaigns.disks.workloads import WORKLOADS

_Case = tuple[str, Fault | None]
_Busy = dict[Connection, tuple[Worker, _Case]]

_PROCESSES = 2
_CASES_SHORT = 600


def _run(run: Run) -> None:
    library = faults.build(run.directory)
    templates, *directories = [run.directory / name for name in ("templates", *map(str, range(_PROCESSES)))]
    with ExitStack() as stack:
        for directory in (templates, *directories):
            directory.mkdir()
        prefix = faults.preloaded(library)
        servers = [stack.enter_context(Interpreter(serve, templates, each, prefix=prefix)) for each in directories]
        counted = dict(_tried(servers, [(workload.name, None) for workload in WORKLOADS]))
        todo = [(name, fault) for (name, _), tried in counted.items() for fault in cases(tried.calls)]
        todo.sort(key=str)  # the servers answer in any order
        run.random.shuffle(todo)
        for _, tried in _tried(servers, todo[: run.amount(_CASES_SHORT, len(todo))]):
            _count(run, tried)


def _tried(servers: list[Worker], todo: Sequence[_Case]) -> Iterator[tuple[_Case, Tried]]:
    """Let whoever is free try the next case. Raises `AssertionError` with all that is wrong with one."""
    queue = iter(todo)
    busy: _Busy = {}
    for server in servers:
        _next(server, queue, busy)
    while busy:
        ready = wait(list(busy), timeout=2 * REPLY_SECONDS_MAX)
        assert ready, f"no answer about {[case for _, case in busy.values()]}"
        for connection in ready:
            server, case = busy.pop(connection)  # type: ignore[call-overload]
            tried: Tried = server.receive()
            assert not tried.problems, f"{case[0]}; {case[1]} ({tried.first_hit}): " + "\n".join(tried.problems)
            yield case, tried
            _next(server, queue, busy)


def _next(server: Worker, queue: Iterator[_Case], busy: _Busy) -> None:
    for case in queue:
        server.send(case)
        busy[server.connection] = server, case
        return


def _count(run: Run, tried: Tried) -> None:
    run.count("faults tried")
    if tried.hits:
        run.count("system calls failed", tried.hits)
        run.count("errors told", tried.failures)
    else:
        run.count("faults that no call came to")


CAMPAIGN = Campaign(
    "disks",
    "Whatever system call fails, and however: nothing acknowledged is lost, errors tell what failed, and work goes on.",
    _run,
    faults.why_not,
)
