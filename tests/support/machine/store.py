"""All rules together."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.support.machine.consuming import Consuming
from tests.support.machine.foundation import TOPICS
from tests.support.machine.keeping import KINDS, Keeping
from tests.support.machine.producing import Producing


class StoreMachine(Producing, Consuming, Keeping):
    """A store that many processes use, beside its model. It begins with two topics; the third may come."""

    @initialize(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=2), partitions=st.integers(1, 3))
    def begin(self, kinds: list[str], partitions: int) -> None:
        for name, kind in zip(TOPICS, kinds, strict=False):
            self.create_topic(0, name, kind, partitions)
