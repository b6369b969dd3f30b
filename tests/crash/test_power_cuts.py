"""Every state in which a power cut may leave the disk while small things are done; `make torture` does so with larger ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from torture.campaigns import power
from torture.campaigns.power.laboratory import Amount, Order

pytestmark = pytest.mark.skipif(power.CAMPAIGN.why_not() is not None, reason=power.CAMPAIGN.why_not() or "")

_ALL_POINTS = 10**6
_STATES_AT_A_POINT = 16


@pytest.mark.parametrize(("workload", "states_min"), [("first_record", 100), ("topic_made_anew", 300)])
def test_a_store_recovers_from_every_state_that_a_power_cut_may_leave(tmp_path: Path, workload: str, states_min: int) -> None:
    counts = power.try_out([Order(workload, 1, Amount(_ALL_POINTS, _STATES_AT_A_POINT, 0))], tmp_path)
    assert counts["crash states recovered"] > states_min, counts
