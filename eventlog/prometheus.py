"""The metrics of a store for programs that use `prometheus_client`: `REGISTRY.register(EventLogCollector(log))`.

Needs the extra `prometheus`. The metrics are those of `EventLog.metrics`, read whenever Prometheus asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from eventlog.errors import StoreClosedError

if TYPE_CHECKING:
    from eventlog.api import EventLog

_TOTAL = "_total"


class EventLogCollector(Collector):
    """Collects the metrics of an open store; of one that was closed, none."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def describe(self) -> Iterable[Metric]:
        """No names beforehand: registering asks nothing of the store."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now. Raises `EventLogError` if they cannot be read."""
        try:
            found = self._log.metrics()
        except StoreClosedError:
            return
        for metric in found.values():
            is_counter = metric.kind == "counter" and metric.name.endswith(_TOTAL)
            kind = "counter" if is_counter else "gauge" if metric.kind == "gauge" else "unknown"
            family = Metric(metric.name.removesuffix(_TOTAL) if is_counter else metric.name, metric.help, kind)
            for labels, value in metric.samples:
                family.add_sample(metric.name, dict(labels), value)
            yield family
