"""The pictures of the screens that people work with: `eventlog ui`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import eventlog
from eventlog.cli.tui.app import StoreApp

_SIZE = (100, 26)
_INTERVAL_SECONDS = 0.1
_SAMPLES = 12  # so many bars has the history


def take_ui(store: Path, shown_store: str) -> str:
    """The first screen of `eventlog ui` as an SVG."""
    return asyncio.run(_take_ui(store, shown_store))


async def _take_ui(store: Path, shown_store: str) -> str:
    with eventlog.open(store, mode="r") as log:
        program = StoreApp(log, shown_store, _INTERVAL_SECONDS, None)
        async with program.run_test(size=_SIZE) as pilot:
            while program.snapshot is None or len(program.snapshot.topic_rates["orders"]) < _SAMPLES:
                await pilot.pause(_INTERVAL_SECONDS)
            await pilot.pause(_INTERVAL_SECONDS)
            svg = program.export_screenshot()
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
