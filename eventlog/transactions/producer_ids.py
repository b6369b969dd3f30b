"""The producer ids that this process may give out."""

from __future__ import annotations

from collections.abc import Iterator

from eventlog.catalog.producer_ids import ProducerIdCatalog


class ProducerIds:
    """Gives out ids of a block, which costs a write to the catalog only once in 1,000 ids. Safe for several threads: two that
    need a block at once may take one each, and the rest of one of them is never given out."""

    def __init__(self, catalog: ProducerIdCatalog) -> None:
        self._catalog = catalog
        self._left: Iterator[int] = iter(())

    def new(self) -> int:
        """An id that no other producer has, or has ever had. May write to the disk. Raises `EventLogError`."""
        number = next(self._left, None)
        if number is None:
            block = iter(self._catalog.take_block())
            number = next(block)
            self._left = block
        return number

    def of_name(self, name: str) -> int:
        """The id of the producer with this name, in this process and any later one. Raises `EventLogError`."""
        return self._catalog.of_name(name, self.new())
