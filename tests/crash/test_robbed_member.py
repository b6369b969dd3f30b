"""A member that is slow to take its partitions goes by a generation that is over, and must not take those of a later member."""

from __future__ import annotations

from pathlib import Path

import eventlog
from eventlog import TopicPartition
from tests.support import fault_points, sleepers, stores
from tests.support.fault_points import Fault
from tests.support.stores import TOPIC


def test_a_member_that_joined_later_keeps_what_it_has_taken(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, partitions=2)
    fault = Fault("take.locked", action="stop")  # at its first partition; the second one it looks at when it goes on
    slow = fault_points.interpreter(
        sleepers.consume_when_told, store, "group", {"assignor": "range"}, report=tmp_path / "report", fault=fault
    )
    with slow, eventlog.open(store) as log:
        log.partition(TOPIC, 1).append(b"x")
        slow.send("poll")
        slow.wait_until_stopped()
        with log.consumer(TOPIC, group="group", assignor="range") as later:
            assert [record.value for record in later.poll(timeout=10)] == [b"x"]
            assert later.assignment() == {TopicPartition(TOPIC, 1)}
            slow.resume()
            assert slow.receive() == ("polled", [], [0], [])
            later.commit()
            assert later.poll(timeout=0) == [] and later.assignment() == {TopicPartition(TOPIC, 1)}
            assert later.committed(TopicPartition(TOPIC, 1)) == 1
