"""Which member of a consumer group reads which partition: Kafka's assignors as pure functions.

Members are identified and ordered by their ids. Nothing depends on the order of a mapping or on a hash, so every process
that knows the same members, topics and owners computes the same assignment without communicating.

Sources: Apache Kafka, org.apache.kafka.clients.consumer.RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor,
without static members and without racks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from eventlog.records.record import TopicPartition

Assignor = Callable[
    [Mapping[str, Sequence[str]], Mapping[str, int], Mapping[str, Sequence[TopicPartition]]], dict[str, list[TopicPartition]]
]


def assign_range(
    subscriptions: Mapping[str, Sequence[str]],
    partition_counts: Mapping[str, int],
    owned: Mapping[str, Sequence[TopicPartition]],
) -> dict[str, list[TopicPartition]]:
    """Divide each topic into one range of partitions for each of its subscribers; the first ones get one more each if the
    ranges cannot be equal. Equal partitions of topics with as many partitions and the same subscribers stay together.

    `subscriptions` are the topics by member id; `partition_counts` the number of partitions by topic, and a topic that
    is not among them does not exist; `owned` is not used. Returns for every member its partitions, sorted.

    Source: Apache Kafka, RangeAssignor.assignPartitions without racks.
    """
    assignment: dict[str, list[TopicPartition]] = {member: [] for member in sorted(subscriptions)}
    for topic, subscribers in _subscribers(subscriptions, partition_counts).items():
        each, remainder = divmod(partition_counts[topic], len(subscribers))
        start = 0
        for index, member in enumerate(subscribers[: partition_counts[topic]]):
            stop = start + each + (index < remainder)
            assignment[member] += _partitions(topic, range(start, stop))
            start = stop
    return assignment


def assign_round_robin(
    subscriptions: Mapping[str, Sequence[str]],
    partition_counts: Mapping[str, int],
    owned: Mapping[str, Sequence[TopicPartition]],
) -> dict[str, list[TopicPartition]]:
    """Deal all partitions, sorted, to the members in turn. A member that does not subscribe to the topic is skipped and must
    wait for its next turn, so that differing subscriptions can result in uneven shares.

    `subscriptions` are the topics by member id; `partition_counts` the number of partitions by topic, and a topic that
    is not among them does not exist; `owned` is not used. Returns for every member its partitions, sorted.

    Source: Apache Kafka, RoundRobinAssignor.assign.
    """
    members = sorted(subscriptions)
    assignment: dict[str, list[TopicPartition]] = {member: [] for member in members}
    turn = 0
    for topic, subscribers in _subscribers(subscriptions, partition_counts).items():
        subscribed = set(subscribers)
        for partition in _partitions(topic, range(partition_counts[topic])):
            while members[turn] not in subscribed:
                turn = (turn + 1) % len(members)
            assignment[members[turn]].append(partition)
            turn = (turn + 1) % len(members)
    return assignment


def assign_cooperative_sticky(
    subscriptions: Mapping[str, Sequence[str]],
    partition_counts: Mapping[str, int],
    owned: Mapping[str, Sequence[TopicPartition]],
) -> dict[str, list[TopicPartition]]:
    """Distribute all partitions evenly, and leave partitions with their owners where possible.

    `subscriptions` are the topics by member id; `partition_counts` the number of partitions by topic, and a topic that
    is not among them does not exist; `owned` are the partitions that members have had so far. Only existing
    partitions of members that are still in the group and subscribe to the topic count; one that two members claim stays with
    neither, as with claims of one generation in Kafka. Returns for every member its partitions, sorted.

    If all members subscribe to the same existing topics, their numbers of partitions differ by at most one, and no
    equally even assignment leaves more partitions where they are. Otherwise it is balanced in Kafka's sense: no member
    has a partition that could go to a member with at least two partitions fewer; and a balanced assignment stays as it is.

    The result is the goal. Unlike Kafka's class it does not withhold partitions that their owners must still give up.

    Source: the goals, and the order of steps of keeping, filling up and balancing, are those of Apache Kafka's
    AbstractStickyAssignor. How they are reached is this module's own.
    """
    pools = _pools(subscriptions, partition_counts, owned)
    if len(pools) == 1:
        _share_evenly(pools[0])
    else:
        _Balancer(subscriptions, pools).run()
    assignment: dict[str, list[TopicPartition]] = {member: [] for member in sorted(subscriptions)}
    for pool in pools:
        for member, partitions in _hand_out(pool).items():
            assignment[member] += partitions
    return {member: sorted(partitions) for member, partitions in assignment.items()}


ASSIGNORS: Mapping[str, Assignor] = {
    "range": assign_range,
    "round-robin": assign_round_robin,
    "cooperative-sticky": assign_cooperative_sticky,
}


def _partitions(topic: str, numbers: Iterable[int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in numbers]


def _subscribers(subscriptions: Mapping[str, Sequence[str]], partition_counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The members by each existing topic that has any; topics and members are sorted."""
    # There are usually few different subscriptions, and few different sets of them that topics occur in. Work done once for
    # each of these need not be done for every member and topic.
    members_by_topics: dict[tuple[str, ...], list[str]] = {}
    for member, topics in subscriptions.items():
        members_by_topics.setdefault(tuple(topics), []).append(member)
    indexes_by_topic: dict[str, list[int]] = {}
    for index, topics in enumerate(members_by_topics):
        for topic in partition_counts.keys() & topics:
            indexes_by_topic.setdefault(topic, []).append(index)
    groups = list(members_by_topics.values())
    merged: dict[tuple[int, ...], tuple[str, ...]] = {}
    for indexes in map(tuple, indexes_by_topic.values()):
        if indexes not in merged:
            merged[indexes] = tuple(sorted(member for index in indexes for member in groups[index]))
    return {topic: merged[tuple(indexes_by_topic[topic])] for topic in sorted(indexes_by_topic)}


class _Pool:
    """The topics that the same members subscribe to. For the balance their partitions are interchangeable, so numbers are
    distributed first and partitions afterwards. By member, `held` are the partitions that may stay, and `shares` is how many
    the member is to get."""

    def __init__(self, subscribers: frozenset[str]) -> None:
        self.subscribers = subscribers
        self.partitions: list[TopicPartition] = []
        self.held: dict[str, list[TopicPartition]] = defaultdict(list)
        self.shares: dict[str, int] = defaultdict(int)


def _pools(
    subscriptions: Mapping[str, Sequence[str]],
    partition_counts: Mapping[str, int],
    owned: Mapping[str, Sequence[TopicPartition]],
) -> list[_Pool]:
    """The pools, without shares; those with the fewest subscribers first, as these members have the least choice."""
    owners = _owners(subscriptions, owned)
    pools: dict[tuple[str, ...], _Pool] = {}
    for topic, subscribers in _subscribers(subscriptions, partition_counts).items():
        if subscribers not in pools:
            pools[subscribers] = _Pool(frozenset(subscribers))
        pool = pools[subscribers]
        partitions = _partitions(topic, range(partition_counts[topic]))
        pool.partitions += partitions
        for partition in partitions:
            owner = owners.get(partition)
            if owner in pool.subscribers:
                pool.held[owner].append(partition)
    return sorted(pools.values(), key=lambda pool: len(pool.subscribers))


def _owners(
    subscriptions: Mapping[str, Sequence[str]], owned: Mapping[str, Sequence[TopicPartition]]
) -> dict[TopicPartition, str]:
    """The owner of each partition that exactly one member claims."""
    owners: dict[TopicPartition, str] = {}
    contested: set[TopicPartition] = set()
    for member in subscriptions:
        for partition in owned.get(member, ()):
            if owners.setdefault(partition, member) != member:
                contested.add(partition)
    return {partition: member for partition, member in owners.items() if partition not in contested}


def _share_evenly(pool: _Pool) -> None:
    """Set equal shares. The members that hold most get the remaining ones, because they can keep what they hold."""
    each, remainder = divmod(len(pool.partitions), len(pool.subscribers))
    by_held = sorted(pool.subscribers, key=lambda member: (-len(pool.held[member]), member))
    for index, member in enumerate(by_held):
        pool.shares[member] = each + (index < remainder)


class _Balancer:
    """Sets the shares in pools whose subscribers differ, starting from the held partitions."""

    def __init__(self, members: Iterable[str], pools: list[_Pool]) -> None:
        self._pools = pools
        self._loads = dict.fromkeys(members, 0)
        # The pools that a member has partitions of, in the order in which it got them.
        self._sources: dict[str, dict[_Pool, None]] = {member: {} for member in self._loads}
        # The members that may be able to take something from a member: all that can, and some that no longer can.
        self._takers: dict[str, set[str]] = {member: set() for member in self._loads}

    def run(self) -> None:
        """Keep held partitions, distribute free ones, and then move partitions as long as that reduces a difference."""
        for pool in self._pools:
            for member, partitions in pool.held.items():
                self._add(pool, member, len(partitions))
        for pool in self._pools:
            self._fill(pool)
        while self._level():
            pass

    def _add(self, pool: _Pool, member: str, count: int) -> None:
        pool.shares[member] += count
        self._loads[member] += count
        if pool not in self._sources[member]:
            self._sources[member][pool] = None
            self._takers[member] |= pool.subscribers

    def _fill(self, pool: _Pool) -> None:
        """Give each free partition to the subscriber with the fewest."""
        free = len(pool.partitions) - sum(pool.shares.values())
        by_load = [(self._loads[member], member) for member in pool.subscribers] if free else []
        heapify(by_load)
        for _ in range(free):
            load, member = by_load[0]
            self._add(pool, member, 1)
            heapreplace(by_load, (load + 1, member))

    def _level(self) -> bool:
        """Go through all members once, those with the most partitions first, and have each give what it can. Returns
        whether anything moved, because then a member may be able to give that could not before."""
        has_moved = False
        by_load = [(-load, member) for member, load in self._loads.items()]
        heapify(by_load)
        while by_load:
            giver = heappop(by_load)[1]
            move = self._find_move(giver)
            if move is None:
                continue
            pool, taker = move
            self._add(pool, taker, 1)
            self._add(pool, giver, -1)
            if not pool.shares[giver]:
                del self._sources[giver][pool]
            heappush(by_load, (-self._loads[giver], giver))
            has_moved = True
        return has_moved

    def _find_move(self, giver: str) -> tuple[_Pool, str] | None:
        """A pool, and the member with the fewest partitions, for a move from `giver` that reduces their difference."""
        takers = self._takers[giver]
        while takers:
            taker = min(takers, key=lambda member: (self._loads[member], member))
            if self._loads[giver] - self._loads[taker] < 2:
                break
            # What came last goes first: the giver may not have had it before, and then the move costs nothing.
            for pool in reversed(self._sources[giver]):
                if taker in pool.subscribers:
                    return pool, taker
            takers.remove(taker)
        return None


def _hand_out(pool: _Pool) -> dict[str, list[TopicPartition]]:
    """Turn shares into partitions: each member keeps as much as its share allows of what it holds, and the rest goes to the
    members that have the fewest."""
    # The lowest numbers are kept, whatever the topic, so that the partitions given up come from all topics alike.
    retained = {
        member: sorted(pool.held[member], key=lambda partition: (partition.partition, partition.topic))[:share]
        for member, share in pool.shares.items()
    }
    taken = {partition for partitions in retained.values() for partition in partitions}
    by_count = [(len(partitions), member) for member, partitions in retained.items() if len(partitions) < pool.shares[member]]
    heapify(by_count)
    for partition in pool.partitions:
        if partition not in taken:
            count, member = by_count[0]
            retained[member].append(partition)
            if count + 1 < pool.shares[member]:
                heapreplace(by_count, (count + 1, member))
            else:
                heappop(by_count)
    return retained
