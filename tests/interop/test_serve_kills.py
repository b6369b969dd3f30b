"""Kills of workers and embedded writers under Java's idempotent producer and its transactions, for some seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")

from tests.interop import kills

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("kafka")]


def test_an_idempotent_producer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kills.produce(tmp_path, count=12_000, kills=8)


def test_transactions_are_copied_exactly_once(tmp_path: Path) -> None:
    kills.copy(tmp_path, count=4_000, kills=2)
