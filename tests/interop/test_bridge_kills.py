"""Bridges and mirrors that are killed at random moments, a few times; `python -m tests.interop.bridge_kills` goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop import bridge_kills, far_ends
from tests.interop.bridge_kills import Choices
from tests.interop.far_ends import FarEnd, KafkaEnd

ROUNDS = 4
WAYS = [bridge_kills.ship_and_kill, bridge_kills.collect_and_kill]
QUICK = [each for each in far_ends.PARAMETERS if each.id != "artemis"]  # to start


@pytest.fixture
def choices() -> Choices:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    return Choices(ROUNDS, random.Random(seed))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("far_end", QUICK, indirect=True)
def test_a_bridge_that_is_killed_once_at_a_random_moment_keeps_its_promise(
    far_end: FarEnd, tmp_path: Path, choices: Choices, way: Callable[[FarEnd, Path, Choices], str]
) -> None:
    print(way(far_end, tmp_path, choices._replace(rounds=1)))


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS)
def test_bridges_that_are_killed_at_random_keep_their_promise(
    far_end: FarEnd, tmp_path: Path, choices: Choices, way: Callable[[FarEnd, Path, Choices], str]
) -> None:
    print(way(far_end, tmp_path, choices))


@pytest.mark.faults
@pytest.mark.parametrize("way", [bridge_kills.mirror_out_and_kill, bridge_kills.mirror_in_and_kill])
@pytest.mark.parametrize("far_end", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
def test_mirrors_that_are_killed_at_random_copy_each_record_once(
    far_end: FarEnd, tmp_path: Path, choices: Choices, way: Callable[[FarEnd, Path, Choices], str]
) -> None:
    assert isinstance(far_end, KafkaEnd)
    print(way(far_end, tmp_path, choices))
