"""What campaigns found, as lines for the terminal and as a table in the guarantees page."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torture.campaign import Campaign

PAGE = Path(__file__).parents[1] / "docs" / "guarantees.md"
_BEGIN = "<!-- The table below is written by `python -m torture --record`. -->"
_END = "<!-- End of the table. -->"


@dataclass(frozen=True)
class Outcome:
    """How a campaign ended: skipped with the reason, failed with the traceback, or passed; `counts` says what was tried."""

    campaign: Campaign
    seed: int
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""
    skipped: str = ""

    def tried(self) -> str:
        """The counts in words."""
        return ", ".join(f"{number:,} {what}" for what, number in self.counts.items()) or "nothing was counted"

    def line(self) -> str:
        if self.skipped:
            return f"  skipped  {self.campaign.name}: {self.skipped}"
        if self.failure:
            return f"  FAILED   {self.campaign.name} after {self.seconds:.0f} s ({self.tried()})\n{self.failure}"
        return f"  passed   {self.campaign.name} in {self.seconds:.0f} s: {self.tried()}"


def _row(outcome: Outcome) -> str:
    result = f"skipped: {outcome.skipped}" if outcome.skipped else outcome.tried()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    cells = f"`{outcome.campaign.name}`", outcome.campaign.shows, result, f"{outcome.seconds:.0f} s", f"{today}, {outcome.seed}"
    return f"| {' | '.join(cells)} |"


def record(outcomes: Sequence[Outcome]) -> None:
    """Replace the rows of these campaigns in the guarantees page. Raises `ValueError` if one of them failed."""
    if failed := [outcome.campaign.name for outcome in outcomes if outcome.failure]:
        raise ValueError(f"a failed campaign is not recorded: {', '.join(failed)}")
    page = PAGE.read_text("utf-8")
    before, rest = page.split(_BEGIN)
    old, after = rest.split(_END)
    rows = {name: row for row, name in re.findall(r"^(\| `([^`]+)` \|.*)$", old, re.MULTILINE)}
    rows |= {outcome.campaign.name: _row(outcome) for outcome in outcomes}
    head = (
        f"The last full run of each campaign, on Linux {platform.release()}, {os.cpu_count()} processors.\n\n"
        "| campaign | shows | tried, without a failure | time | day, seed |\n| --- | --- | --- | --- | --- |"
    )
    PAGE.write_text(f"{before}{_BEGIN}\n{head}\n" + "\n".join(rows.values()) + f"\n{_END}{after}", "utf-8")
