"""Processes die: anywhere, between two stores of a critical section, and at system calls, while others work on.

In each round several writers, a producer, members of a group, and housekeepers, operators or writers of keys work on one
store until all of them are gone. Then somebody who shares no code with the library reads the bytes they left and holds
them against what was acknowledged, before the library itself opens the store and goes on.
"""

from __future__ import annotations

from tests.support import fault_points
from tests.support.processes import Interpreter
from torture.campaign import Campaign, Run
from torture.campaigns.kills.rounds import play_all


def _run(run: Run) -> None:
    with Interpreter(play_all, run, packages=fault_points.build()) as stage:
        for counts in iter(stage.receive, None):
            run.counts.update(counts)
    assert run.counts["kills at fault points"], "nobody died at a fault point"


CAMPAIGN = Campaign(
    "kills",
    "Processes that are killed anywhere, also inside critical sections, lose nothing acknowledged and stop nobody.",
    _run,
)
