"""The catalog of a store: its topics, and its groups with their offsets."""

from __future__ import annotations

from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.groups import GroupCatalog
from eventlog.catalog.producer_ids import ProducerIdCatalog
from eventlog.catalog.topics import TopicCatalog
from eventlog.catalog.transactions import TransactionCatalog
from eventlog.catalog.users import UserCatalog


class Catalog:
    """The content of an environment, which `close` closes."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self.environment = environment
        self.topics = TopicCatalog(environment)
        self.groups = GroupCatalog(environment)
        self.transactions = TransactionCatalog(environment)
        self.producer_ids = ProducerIdCatalog(environment)
        self.users = UserCatalog(environment)

    def close(self) -> None:
        """Close the environment. A second call does nothing."""
        self.environment.close()
