"""Time misbehaves: the wall clock jumps, machines are suspended, processes stand still in the middle of what they do."""

from __future__ import annotations

from torture.campaign import Campaign, Run
from torture.campaigns.time.clock import why_not
from torture.campaigns.time.jumps import jump_about
from torture.campaigns.time.stopped import stop_everywhere
from torture.campaigns.time.suspended import suspend


def _run(run: Run) -> None:
    suspend(run)
    stop_everywhere(run)
    jump_about(run)


CAMPAIGN = Campaign(
    "time",
    "Clocks that jump and processes that stand still lose no record, end no lease early, and hold nobody up without a name.",
    _run,
    why_not,
)
