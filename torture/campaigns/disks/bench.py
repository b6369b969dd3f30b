"""Trying one fault after the other: each in a process of its own, forked from one that has nothing open.
A second process looks at what is left once the disk is well again."""

from __future__ import annotations

import errno
import faulthandler
import gc
import os
import pickle
import shutil
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from eventlog import PoisonedError
from tests.support.faults import Call, Fault, Faults
from torture.campaigns.disks.ledger import Ledger
from torture.campaigns.disks.stage import Stage
from torture.campaigns.disks.workloads import TOPIC, WORKLOADS, Workload

_SECONDS_MAX = 30
_BY_NAME = {workload.name: workload for workload in WORKLOADS}


@dataclass
class Tried:
    """What came of one fault. `hits` is how many calls failed, `failures` how many calls of the library raised its errors."""

    problems: list[str] = field(default_factory=list)
    hits: int = 0
    first_hit: str = ""
    failures: int = 0
    calls: Counter[Call] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    results: frozenset[str] = frozenset()


def serve(connection: Connection, templates: Path, directory: Path) -> None:
    """Try what is asked for, until None comes: a fault on a workload, or without a fault to prepare it.

    All servers share the `templates`; each has a `directory` for its cases."""
    for name in eventlog.__all__:
        getattr(eventlog, name)  # what is imported late is imported now, once
    gc.collect()
    gc.freeze()
    while (asked := connection.recv()) is not None:
        name, fault = asked
        if fault is None:
            _prepare_template(templates / name, _BY_NAME[name])
        connection.send(_tried(templates / name, directory, _BY_NAME[name], fault))


def _prepare_template(template: Path, workload: Workload) -> None:
    """Make the store that each case of a workload begins with."""
    template.mkdir()
    prepared = _forked(template, lambda: _prepare(template, workload))
    assert not prepared.problems, prepared.problems
    (template / "ledger").write_bytes(pickle.dumps(prepared.ledger))


def _prepare(template: Path, workload: Workload) -> Tried:
    stage = Stage(template, Ledger(), None)
    workload.prepare(stage)
    return Tried(stage.problems, ledger=stage.ledger)


def _tried(template: Path, directory: Path, workload: Workload, fault: Fault | None) -> Tried:
    """Try one fault on a copy of the template; without one only the calls are counted."""
    case = Path(tempfile.mkdtemp(dir=directory))
    shutil.copytree(template, case, dirs_exist_ok=True)
    ledger: Ledger = pickle.loads((case / "ledger").read_bytes())
    tried = _forked(case, lambda: _run(case, workload, ledger, fault))
    if not tried.problems and (tried.hits or fault is None):
        tried.problems = _forked(case, lambda: _looked_at(case, workload, tried)).problems
    shutil.rmtree(case)
    return tried


def _looked_at(case: Path, workload: Workload, tried: Tried) -> Tried:
    stage = Stage(case, tried.ledger, None)
    stage.results = dict.fromkeys(tried.results)
    return Tried(stage.problems + workload.look(stage, tried.ledger))


def _run(case: Path, workload: Workload, ledger: Ledger, fault: Fault | None) -> Tried:
    """Everything that the process under test does."""
    faults = Faults(case)
    stage = Stage(case, ledger, fault)
    before = _open_files(case)
    workload.begin(stage)
    threads = {thread.name for thread in threading.enumerate()}
    faults.arm(fault) if fault is not None else faults.count()
    workload.act(stage)
    tried = Tried(stage.problems, calls=faults.counts())
    if fault is not None and fault.first % 2:  # every other one is still there when the store is closed
        stage.close()
    faults.disarm()
    tried.hits, tried.first_hit = faults.hits, faults.first_hit
    if stage.is_open:
        _go_on(stage, threads)
    stage.close()
    tried.results = frozenset(stage.results)
    gc.collect()
    leaked = _open_files(case) - before
    if leaked:
        stage.problems.append(f"files are open or mapped behind the end: {sorted(leaked.elements())}")
    if faults.synced_again and "/meta/" not in faults.synced_again:
        stage.problems.append(f"{faults.synced_again} was synced again after a sync of it had failed")
    tried.failures, tried.ledger = len(stage.failures), ledger
    return tried


def _go_on(stage: Stage, threads: set[str]) -> None:
    """The disk is well: the store that is open takes records at once, but for a partition that is poisoned."""
    gone = threads - {thread.name for thread in threading.enumerate()}
    if gone:
        stage.problems.append(f"threads have ended: {gone}")
    fault, stage.fault = stage.fault, None
    if stage.ledger.topics.get(TOPIC):
        known = stage.ledger.of(TOPIC, 0)
        value = stage.value()
        try:
            known.acknowledged[stage.log.partition(TOPIC, 0).append(value, b"key")] = b"key", value
        except PoisonedError:
            known.doubtful.add(value)
            _judge_poison(stage, fault)
        except Exception:
            stage.problems.append(f"an append fails on a disk that is well again:\n{traceback.format_exc()}")
    if stage.attempt("create a topic when all is well", lambda: stage.log.create_topic("afterwards")):
        stage.ledger.topics["afterwards"] = True
    stage.fault = fault


def _judge_poison(stage: Stage, fault: Fault | None) -> None:
    may_poison = {Call.SYNC, Call.WRITE, Call.TRUNCATE, Call.ALLOCATE}
    if fault is None or not fault.calls & may_poison:
        stage.problems.append(f"a partition is poisoned, and no write or sync has failed:\n{traceback.format_exc()}")
    elif fault.error_number == errno.EFBIG:
        stage.problems.append(f"a limit of this process has poisoned a partition for all:\n{traceback.format_exc()}")


def _open_files(case: Path) -> Counter[str]:
    """The files of the case that this process has open or mapped."""
    files: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            files[os.readlink(f"/proc/self/fd/{descriptor}")] += 1
        except FileNotFoundError:
            continue
    for line in Path("/proc/self/maps").read_text().splitlines():
        files[" ".join(line.split()[5:])] += 1
    return Counter({name: count for name, count in files.items() if name.startswith(f"{case}/") or name.startswith("anon")})


def _forked(case: Path, work: Callable[[], Tried]) -> Tried:
    """Do something in a process of its own. That it crashes or hangs is a problem, too."""
    stacks = case.with_name(f"{case.name}.stacks")
    answer = case.with_name(f"{case.name}.answer")
    child = os.fork()
    if child == 0:
        _answer(work, answer, stacks)
    _, status = os.waitpid(child, 0)
    try:
        if answer.exists() and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            tried: Tried = pickle.loads(answer.read_bytes())
            return tried
        end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit status {os.WEXITSTATUS(status)}"
        return Tried([f"the process ended with {end}, or took more than {_SECONDS_MAX} s:\n{stacks.read_text()}"])
    finally:
        answer.unlink(missing_ok=True)
        stacks.unlink(missing_ok=True)


def _answer(work: Callable[[], Tried], answer: Path, stacks: Path) -> None:
    with open(stacks, "w") as file:
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(_SECONDS_MAX, exit=True, file=file)
        try:
            tried = work()
        except BaseException:
            tried = Tried([f"it ended with:\n{traceback.format_exc()}"])
        answer.write_bytes(pickle.dumps(tried))
        os._exit(0)


