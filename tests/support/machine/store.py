"""All rules together."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.support.machine.consuming import Consuming
from tests.support.machine.foundation import TOPICS, groups
from tests.support.machine.keeping import KINDS, Keeping
from tests.support.machine.producing import Producing


class StoreMachine(Producing, Consuming, Keeping):
    """A store that many processes use, beside its model. It begins with two topics, and a group with members of two
    processes."""

    @initialize(
        kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=2), partitions=st.integers(1, 3), group=groups,
    )  # fmt: skip
    def begin(self, kinds: list[str], partitions: int, group: str) -> None:
        for name, kind in zip(TOPICS, kinds, strict=False):
            self.create_topic(0, name, kind, partitions)
            self.send(0, name, False, list(range(0, 200, 7)), True)
        for host, wanted, instance in ((0, TOPICS[:2], None), (1, TOPICS, "one"), (0, ".*s", None)):
            self.open_consumer(host, group, wanted, "earliest", instance, host == 1, host == 0, True)
        self.settle(self.model.groups[group])
