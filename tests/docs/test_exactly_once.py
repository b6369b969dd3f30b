"""The example of exactly-once processing runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_payment_is_added_up_once_however_often_the_process_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "exactly_once.py"], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right" in done.stdout
