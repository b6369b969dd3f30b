"""Running fuzz targets: those of the C side (native/fuzz, libFuzzer) and those of the Python side (`targets`, atheris)."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torture.campaigns.hostile import corpus

ROOT = Path(__file__).parents[3]
BUILT = ROOT / "build" / "fuzz"
NATIVE_TARGETS = tuple(sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "native" / "fuzz").glob("fuzz_*.c")))
PYTHON_TARGETS = (
    "partition_files", "compressed_sections", "words", "imported_files", "arguments", "stomp_frames", "amqp_messages",
)  # fmt: skip

_INPUT_BYTES_MAX = 2048
_MEMORY_MIB_MAX = 3072  # a section may hold 1 GiB, and is there twice while it is handed over
_IN_MEMORY = "/dev/shm"
_DONE = re.compile(rb"^Done (\d+) runs in", re.MULTILINE)
_SECONDS_MORE = 120  # to start, and for what is under way when the time is up


@dataclass(frozen=True)
class Fuzzer:
    """A target, and the command that runs it."""

    name: str
    command: tuple[str, ...]


def why_not() -> str | None:
    """What is missing on this machine for fuzzing, or None."""
    if shutil.which("clang") is None:
        return "clang is not installed (native/fuzz/install_clang)"
    if importlib.util.find_spec("atheris") is None:
        return "atheris is not installed: it has no wheel for this Python or machine"
    return None


def make(*targets: str) -> None:
    """Let make build, or run, targets of the Makefile. Raises `AssertionError` with what it has said."""
    done = subprocess.run(["make", "--silent", "-j2", *targets], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make {' '.join(targets)}:\n{done.stdout[-4000:]}{done.stderr[-8000:]}"


def fuzzers() -> list[Fuzzer]:
    """All targets, the native ones built."""
    make("fuzz-targets")
    native = [Fuzzer(name, (str(BUILT / name),)) for name in NATIVE_TARGETS]
    python = (sys.executable, "-m", "torture.campaigns.hostile.targets")
    return native + [Fuzzer(name, (*python, name)) for name in PYTHON_TARGETS]


def run(fuzzer: Fuzzer, found: Path, seconds: int, seed: int) -> int:
    """Run a target for so long, beginning with what stands in `found` and adding to it; how many inputs it has taken.

    Raises `AssertionError` with the end of its report, which names the input that it failed for."""
    command = [
        *fuzzer.command, str(found), f"-max_total_time={seconds}", f"-seed={seed % 2**32 or 1}",
        f"-max_len={_INPUT_BYTES_MAX}", f"-rss_limit_mb={_MEMORY_MIB_MAX}", "-timeout=20",
        f"-artifact_prefix={found.parent}/{fuzzer.name}-",
    ]  # fmt: skip
    in_memory = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="eventlog-fuzz-", dir=in_memory) as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment, timeout=seconds + _SECONDS_MORE)
    report = done.stdout + done.stderr
    counted = _DONE.search(report)
    assert done.returncode == 0 and counted, f"{' '.join(command)}:\n{report[-8000:].decode(errors='replace')}"
    return int(counted[1])


def seed_corpora(directory: Path) -> None:
    """Write the first inputs of every target into `directory`."""
    store = directory / "store"
    if not store.exists():
        corpus.fill(store)
    for name in (*NATIVE_TARGETS, *PYTHON_TARGETS):
        corpus.write_seeds(store, name, directory / name)
