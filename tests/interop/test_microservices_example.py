"""examples/microservices.py on a directory, and moved to a cluster by changing the string."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.clients

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "microservices.py"


@pytest.mark.parametrize("kind", ["directory", "kafka"])
def test_the_services_agree_wherever_the_log_is(tmp_path: Path, bootstrap: str, kind: str) -> None:
    url = f"kafka://{bootstrap}" if kind == "kafka" else str(tmp_path / "shop")
    done = subprocess.run([sys.executable, EXAMPLE, url], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"{kind}: ordered 794, billed 794\n"), done.stderr
