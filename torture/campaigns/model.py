"""Producers, groups, resets, retention, compaction, crashes and backups, beside a plain model, step by step.

Hypothesis chooses the steps; `tests/support/machine` does them with real processes. What fails is printed as the
shortest program that was found.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.machine.store import StoreMachine
from torture.campaign import Campaign, Run

_STEPS = 50


def _run(run: Run) -> None:
    class Machine(StoreMachine):
        counts: ClassVar[Counter[str]] = Counter()
        parent: ClassVar[Path | None] = run.directory

    run_state_machine_as_test(
        seed(run.random.randrange(2**32))(Machine),
        settings=settings(
            max_examples=run.amount(25, 900),
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for what, number in Machine.counts.items():
        run.count(what, number)


CAMPAIGN = Campaign(
    "model",
    "Whatever producers, groups, resets, retention, compaction, kills, reboots and backups do in turn, a store is what a plain "
    "model is.",
    _run,
)
