"""Producers, members of groups, resets, retention, compaction, crashes and backups do what a plain model does."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.machine.store import StoreMachine

TestStoreAgainstModel = StoreMachine.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
