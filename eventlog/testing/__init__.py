"""A pytest plugin for programs that use eventlog: pytest finds its fixtures by itself once eventlog is installed.

`eventlog_store` is a store of its own for each test, `eventlog_clock` a clock that the test moves, `crash_points` kills a
function between any two of its steps, and `kafka_broker` is a broker for clients of Kafka. docs/testing.md shows each.
"""

from __future__ import annotations

import pytest

from eventlog.testing.broker import KafkaBroker, kafka_broker, run_broker
from eventlog.testing.clones import clone_store
from eventlog.testing.crashes import CrashPoints, crash_points
from eventlog.testing.manual_clock import ManualClock, eventlog_clock
from eventlog.testing.stores import eventlog_store, eventlog_templates

__all__ = [
    "CrashPoints", "KafkaBroker", "ManualClock", "clone_store", "crash_points", "eventlog_clock", "eventlog_store",
    "eventlog_templates", "kafka_broker", "run_broker",
]  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "kafka_broker(**options): options of EventLog.serve for the fixture kafka_broker")
    config.addinivalue_line(
        "markers", "eventlog_store(fill=function): what fills a store, once; tests get clones of it in eventlog_store"
    )
