"""Hostile bytes, hostile arguments, and memory that runs out: none of it crashes, hangs, leaks or takes memory without a bound.

Fuzzers make up what stands in files and what callers pass (`fuzzing`, `targets`); the interpreter's allocations fail one after
the other (`tests.support.out_of_memory`); and the long form runs what make knows: the C tests in threads under the thread
sanitizer and under valgrind, and the extension under the address sanitizer.
"""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

from tests.support import out_of_memory
from tests.support.processes import Worker
from torture.campaign import Campaign, Run
from torture.campaigns.hostile import fuzzing

_FUZZERS_AT_ONCE = 2
_ALLOCATIONS = 150  # of one worker, which says nothing before it has tried them


def _fuzz(run: Run) -> None:
    found = run.directory / "found"
    fuzzing.seed_corpora(found)
    native_seconds, python_seconds = run.amount(1, 60), run.amount(2, 90)

    def fuzz(fuzzer: fuzzing.Fuzzer) -> int:
        seconds = native_seconds if fuzzer.name in fuzzing.NATIVE_TARGETS else python_seconds
        return fuzzing.run(fuzzer, found / fuzzer.name, seconds, run.seed)

    with ThreadPoolExecutor(_FUZZERS_AT_ONCE) as pool:
        fuzzers = fuzzing.fuzzers()
        for fuzzer, inputs in zip(fuzzers, pool.map(fuzz, fuzzers), strict=True):
            is_native = fuzzer.name in fuzzing.NATIVE_TARGETS
            run.count("inputs to the C side" if is_native else "inputs to the Python side", inputs)


def _run_out_of_memory(run: Run) -> None:
    """Let allocations fail one after the other, from a number on that the short form chooses at random."""
    if importlib.util.find_spec("_testcapi") is None:
        return
    for use in out_of_memory.USES:
        begin = run.random.randrange(run.amount(1000, 1))
        end = begin + run.amount(30, 1500)
        for first in range(begin, end, _ALLOCATIONS):
            stop = min(first + _ALLOCATIONS, end)
            with Worker(out_of_memory.let_each_fail, run.directory / f"{use}-{first}", use, first, stop) as worker:
                run.count("failed allocations", worker.receive())


def _run_sanitized(run: Run) -> None:
    for target in ("test-native", "test-native-threads", "test-native-valgrind", "test-sanitized"):
        fuzzing.make(target)
        run.count("runs under sanitizers and valgrind")


def _run(run: Run) -> None:
    _fuzz(run)
    _run_out_of_memory(run)
    if not run.is_short:
        _run_sanitized(run)


CAMPAIGN = Campaign(
    "hostile",
    "Bytes, arguments and failed allocations of any kind end in one of our errors, in bounded memory.",
    _run,
    fuzzing.why_not,
)
