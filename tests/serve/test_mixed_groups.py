"""Random heartbeats of remote members, over two servers, together with embedded consumers of the same group: no partition is
ever owned by two, and in the end each is owned by one."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import eventlog
from eventlog import Consumer, EventLog, TopicPartition
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.coordinator.consumer_group_registry import ConsumerGroupSettings
from tests.serve.client import RawClient
from tests.serve.conftest import running_server
from tests.serve.consumer_group import RemoteConsumer

TOPICS = {"events": 3, "orders": 4, "late": 2}
GROUP = "readers"
STEPS = 120
SECONDS_MAX = 60
REJOIN = {errors.UNKNOWN_MEMBER_ID, errors.FENCED_MEMBER_EPOCH}


class Group:
    """The members, remote and embedded, and what a test does with them."""

    def __init__(self, log: EventLog, clients: list[RawClient], choose: random.Random) -> None:
        self.log = log
        self.clients = clients
        self.choose = choose
        self.remote: list[RemoteConsumer] = []
        self.embedded: list[Consumer] = []
        self.steps: list[str] = []
        self._number = 0

    def check(self) -> None:
        """No partition is owned by two members."""
        owners: dict[TopicPartition, list[object]] = {}
        for member in self.remote:
            for partition in member.owned:
                owners.setdefault(TopicPartition(*partition), []).append(member.id)
        for consumer in self.embedded:
            for partition in consumer.assignment():
                owners.setdefault(partition, []).append(consumer)
        assert all(len(each) == 1 for each in owners.values()), (owners, self.steps)

    def owned(self) -> set[TopicPartition]:
        remote = {TopicPartition(*partition) for member in self.remote for partition in member.owned}
        return remote.union(*(consumer.assignment() for consumer in self.embedded))

    def step(self) -> None:
        """One random event."""
        actions = [self.join_remote, self.beat, self.beat, self.report, self.report, self.leave, self.move, self.die]
        actions += [self.join_embedded, self.poll, self.poll, self.poll, self.close, self.add_partitions]
        action = self.choose.choice(actions)
        self.steps.append(action.__name__)
        action()
        self.check()

    def join_remote(self) -> None:
        if len(self.remote) < 4:
            self._number += 1
            member = RemoteConsumer(self.choose.choice(self.clients[:2]), f"member-{self._number}", GROUP)
            subscription = self.choose.choice([{}, {"subscribed_topic_regex": "events|orders|la.e"}])
            assert member.join("events", "orders", "late", **subscription).error_code == 0
            self.remote.append(member)

    def beat(self) -> None:
        if self.remote:
            member = self.choose.choice(self.remote)
            self._rejoin_if(member, member.beat().error_code)

    def report(self) -> None:
        if self.remote:
            member = self.choose.choice(self.remote)
            self._rejoin_if(member, member.report().error_code)

    def _rejoin_if(self, member: RemoteConsumer, code: int) -> None:
        assert code in {0, *REJOIN}
        if code:
            member.owned, member.assigned = set(), set()
            assert member.join("events", "orders", "late").error_code == 0

    def leave(self) -> None:
        if len(self.remote) > 1:
            member = self.remote.pop(self.choose.randrange(len(self.remote)))
            assert member.leave().error_code == 0

    def move(self) -> None:
        """A member finds another server."""
        if self.remote:
            self.choose.choice(self.remote).client = self.choose.choice(self.clients[:2])

    def die(self) -> None:
        """A member joins, and is never heard of again."""
        self._number += 1
        answer = RemoteConsumer(self.clients[2], f"member-{self._number}", GROUP).join("events", "orders")
        assert answer.error_code in (0, errors.UNKNOWN_MEMBER_ID)

    def join_embedded(self) -> None:
        if len(self.embedded) < 3:
            self.embedded.append(self.log.consumer(["events", "orders", "late"], group=GROUP))

    def poll(self) -> None:
        if self.embedded:
            self.choose.choice(self.embedded).poll(0)

    def close(self) -> None:
        if len(self.embedded) > 1:
            self.embedded.pop(self.choose.randrange(len(self.embedded))).close()

    def add_partitions(self) -> None:
        count = self.log.topic("late").partitions
        if count < 6:
            self.log.alter_topic("late", partitions=count + 1)

    def settle(self) -> None:
        """Let everybody do what is due until each partition is owned."""
        deadline = time.monotonic() + SECONDS_MAX
        wanted = {TopicPartition(topic, number) for topic in TOPICS for number in range(self.log.topic(topic).partitions)}
        while self.owned() != wanted:
            assert time.monotonic() < deadline, (wanted - self.owned(), self.steps)
            for member in self.remote:
                self._rejoin_if(member, member.report().error_code)
                self.check()
            for consumer in self.embedded:
                consumer.poll(0.01)
                self.check()


@pytest.fixture
def clients(log: EventLog) -> Iterator[list[RawClient]]:
    """Of two servers, and of one whose members are dead at once."""
    mortal = Settings(consumer_groups=ConsumerGroupSettings(session_timeout_ms=0))
    with ExitStack() as stack:
        other = stack.enter_context(eventlog.open(log.path))
        servers = [running_server(log), running_server(other), running_server(log, mortal)]
        yield [stack.enter_context(RawClient(stack.enter_context(server).address)) for server in servers]


@pytest.mark.parametrize("attempt", range(3))
def test_no_partition_is_owned_by_two_and_in_the_end_each_is_owned(
    log: EventLog, clients: list[RawClient], attempt: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed} of attempt {attempt}")
    log.alter_topic("events", partitions=TOPICS["events"])
    for name in ("orders", "late"):
        log.create_topic(name, partitions=TOPICS[name])
    group = Group(log, clients, random.Random(seed))
    group.join_remote()
    group.join_embedded()
    for _ in range(STEPS):
        group.step()
    group.settle()
    for consumer in group.embedded:
        consumer.close()
