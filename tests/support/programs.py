"""The `eventlog` program, for tests that run it often: forked from a process that has imported it already, a run costs a tenth.

It is a process of its own, with standard streams of its own; only its start and the end of its interpreter are not what they
are for a user. `tests/cli/test_programs.py` shows that it says the same and has the same status.
"""

from __future__ import annotations

import atexit
import multiprocessing.reduction
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from eventlog import cli
from tests.support.processes import fork

SECONDS_MAX = 60.0

for _command in cli.COMMANDS:
    import_module(f"eventlog.cli.{_command.replace('-', '_')}")


class _Descriptor:
    """A descriptor that is duplicated into the process that the message goes to, where it is a number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _taken, (multiprocessing.reduction.DupFd(self._number),)


def _taken(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


def _be_the_program(arguments: list[str], environment: dict[str, str], directory: str, streams: list[int]) -> None:
    """What the forked process does."""
    for standard, descriptor in enumerate(streams):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = ["eventlog", *arguments]
    try:
        cli.main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing, which sees to the rest, leaves them out


def run(
    arguments: Sequence[str | bytes | Path], environment: dict[str, str], stdin: bytes = b"", stdout: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program to the end, as `subprocess.run` does; with `stdout` standard output is this descriptor."""
    ends = [os.pipe() for _ in range(3)]
    (their_input, our_input), (our_output, their_output), (our_errors, their_errors) = ends
    theirs = (their_input, their_output if stdout is None else stdout, their_errors)
    words = [os.fsdecode(argument) for argument in arguments]
    process = fork(_be_the_program, words, environment, os.getcwd(), [*map(_Descriptor, theirs)])
    for descriptor in (their_input, their_output, their_errors):
        os.close(descriptor)
    with ThreadPoolExecutor(3) as threads:
        try:
            threads.submit(_write, our_input, stdin)
            output, errors = threads.submit(_read, our_output), threads.submit(_read, our_errors)
            process.join(SECONDS_MAX)
            assert process.exitcode is not None, f"{arguments} did not end"
            return subprocess.CompletedProcess(arguments, process.exitcode, output.result(), errors.result())
        finally:
            process.kill()


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as stream:
        stream.write(data)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as stream:
        return stream.read()
