"""The transactions of a store, and the ids of its producers, as one process uses them."""

from __future__ import annotations

from eventlog.groups.registry import Groups
from eventlog.transactions.producer_ids import ProducerIds


class Transactions:
    """What producers need besides the log. Safe for several threads."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.producer_ids = ProducerIds(groups.store.catalog.producer_ids)
