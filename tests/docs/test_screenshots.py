"""The pictures in the documentation can be made anew, and are those that it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "docs" / "screenshots"
WORDS = {
    "top.svg": ("page-views", "billing", "RECORDS/S", "quits"),
    "topics-describe.svg": ("retention.ms", "given", "SEGMENTS"),
    "groups-describe.svg": ("till-1", "orders"),
    "ui.svg": ("page-views", "billing", "RECORDS/S", "help"),
    "doctor.svg": ("error", "repair", "warning"),
}


def test_the_script_makes_the_pictures_that_the_pages_show(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCREENSHOTS / "make.py", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    shown = set(re.findall(r"\(screenshots/([^)]+\.svg)\)", pages))
    assert set(made) == shown == {path.name for path in SCREENSHOTS.glob("*.svg")}
    for name, words in WORDS.items():
        assert made[name].startswith("<svg") and [word for word in words if word not in made[name]] == []
