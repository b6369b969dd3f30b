"""Producers, members of groups, resets, retention, compaction, crashes and backups do what a plain model does."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.machine.store import StoreMachine

TestStoreAgainstModel = StoreMachine.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=5,
    stateful_step_count=30,
    derandomize=True,  # `python -m torture model` goes on from there, at random
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
