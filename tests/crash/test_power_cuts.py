"""Every state in which a power cut may leave the disk while small things are done; `make torture` does so with larger ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import stores, tracing, workers
from tests.support.processes import Interpreter
from torture.campaigns import power
from torture.campaigns.power.laboratory import Amount, Order

_ALL_POINTS = 10**6
_STATES_AT_A_POINT = 16


@pytest.mark.skipif(power.CAMPAIGN.why_not() is not None, reason=power.CAMPAIGN.why_not() or "")
@pytest.mark.parametrize(
    ("workload", "states_min"), [("first_record", 60), pytest.param("topic_made_anew", 120, marks=pytest.mark.slow)]
)
def test_a_store_recovers_from_every_state_that_a_power_cut_may_leave(tmp_path: Path, workload: str, states_min: int) -> None:
    counts = power.try_out([Order(workload, 1, Amount(_ALL_POINTS, _STATES_AT_A_POINT, 0))], tmp_path)
    assert counts["crash states recovered"] > states_min, counts


@pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")
def test_what_a_killed_writer_left_is_cut_off_on_disk_before_others_append_there(tmp_path: Path) -> None:
    """A power cut could bring some of it back, in front of batches that were appended later."""
    syncs = []
    for is_dead in (False, True):
        store, report = tmp_path / f"store-{is_dead}", tmp_path / "report"
        stores.create(store)
        prefix = tracing.counting("fsync", report)
        with Interpreter(workers.append_behind_a_dead_writer, store, is_dead, prefix=prefix) as writer:
            assert writer.receive() == 1
            writer.join()
        syncs.append(tracing.counted(report))
    assert syncs[1] == syncs[0] + 1
