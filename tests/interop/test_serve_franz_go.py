"""`eventlog serve` under the tests that franz-go has for its own Go client, from the module that Go's proxy has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

pytestmark = pytest.mark.clients

PACKAGE = "github.com/twmb/franz-go/pkg/kgo"
VERSION = "v1.22.3"
RECORDS = "5000"
SECONDS_MAX = 900  # Go may have to fetch and compile the module
# They wait for the internal topic __consumer_offsets, which brokers have and a store does not.
NEED_OFFSETS_TOPIC = "^(TestConsumeRegex|Test848RegexBrokerResolves)$"


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_franz_go_passes_its_own_tests(bootstrap: str, tmp_path: Path) -> None:
    environment = {**os.environ, "KGO_SEEDS": bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": RECORDS}

    def go(*arguments: str) -> str:
        done = subprocess.run(
            ["go", *arguments], cwd=tmp_path, env=environment, stdout=PIPE, stderr=STDOUT, text=True, timeout=SECONDS_MAX
        )
        assert done.returncode == 0, done.stdout[-20_000:]
        return done.stdout

    go("mod", "init", "scratch")
    go("get", "-t", f"{PACKAGE}@{VERSION}")
    printed = go("test", "-count=1", "-v", "-skip", NEED_OFFSETS_TOPIC, PACKAGE)
    passed = {line.split()[2] for line in printed.splitlines() if line.startswith("--- PASS: ")}
    assert {"TestGroupETL", "TestTxnEtl"} <= passed
