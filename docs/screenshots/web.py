"""Makes the picture of `eventlog web` with Chromium: `make screenshots`, where Playwright and Chromium are installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make import PROGRAM, traffic
from playwright.sync_api import Page, sync_playwright

import eventlog

_WIDTH, _HEIGHT = 1100, 720
_SAMPLES = 30


def main(directory: Path) -> None:
    """Make the picture in this directory."""
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "shop"
        with eventlog.open(store) as log, traffic(log), subprocess.Popen(
            [PROGRAM, "web", "--listen", "0", "--interval", "0.1", "--json"],
            env={**os.environ, "EVENTLOG_STORE": str(store)},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            try:
                _take(json.loads(process.stdout.readline())["url"], directory / "web.png")
            finally:
                process.terminate()


def _take(url: str, path: Path) -> None:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=sandbox)
        page: Page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        page.goto(url)
        chart = page.locator("svg.chart").first
        while int((chart.get_attribute("aria-label") or "0").split()[0]) < _SAMPLES:
            page.wait_for_timeout(100)
        page.evaluate("document.querySelector('.store').textContent = '/var/lib/shop'")
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
