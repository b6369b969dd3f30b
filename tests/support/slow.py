"""Cases of a test that `make test` leaves to `make test-slow`."""

from __future__ import annotations

from typing import Any

import pytest


def slowly(*values: object) -> list[Any]:
    """These values as parameters of tests that are marked slow."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
