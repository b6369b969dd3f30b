"""The server at the other end of a bridge is down for a while: nothing is lost, and memory does not grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import outages
from tests.interop.far_ends import FarEnd

pytestmark = pytest.mark.faults

DOWN_SECONDS = 1.0  # by hand: python -m tests.interop.outages --seconds 60


@pytest.mark.parametrize("outage", outages.OUTAGES)
def test_a_ship_goes_on_once_its_server_is_back(far_end: FarEnd, tmp_path: Path, outage: str) -> None:
    print(outages.ship_through(far_end, tmp_path, DOWN_SECONDS, outage))


@pytest.mark.parametrize("outage", outages.OUTAGES)
def test_a_collecting_bridge_goes_on_once_its_server_is_back(far_end: FarEnd, tmp_path: Path, outage: str) -> None:
    print(outages.collect_through(far_end, tmp_path, DOWN_SECONDS, outage))
