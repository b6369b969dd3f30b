"""Assignments of any groups are complete, balanced and sticky, compared with slow and obvious ways to find out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.groups.assignors import ASSIGNORS, Assignor, assign_cooperative_sticky, assign_range, assign_round_robin
from eventlog.records.record import TopicPartition

EVERY_ASSIGNOR = pytest.mark.parametrize("assign", ASSIGNORS.values(), ids=ASSIGNORS)

_MEMBERS = ["a", "b", "c", "d", "e", "f"]
_TOPICS = ["t", "u", "v", "w"]
_PARTITIONS_MAX = 6
# Some members of old are no longer there, and some topics and partitions never were.
_MEMBERS_OF_OLD = [*_MEMBERS, "gone"]
_CLAIMED = [TopicPartition(topic, number) for topic in [*_TOPICS, "missing"] for number in range(_PARTITIONS_MAX + 1)]

Assignment = Mapping[str, Sequence[TopicPartition]]


class Group(NamedTuple):
    """What an assignor is given."""

    subscriptions: dict[str, list[str]]
    partition_counts: dict[str, int]
    owned: dict[str, list[TopicPartition]]


@st.composite
def groups(draw: st.DrawFn, *, equal: bool | None = None, members: int = 6, topics: int = 4, partitions: int = 6) -> Group:
    """A group whose members subscribe to the same or to any topics, with owners as they come: most partitions had one that
    may keep it, some had none, and some are claimed by several or by somebody who may not have it."""
    names = draw(st.lists(st.sampled_from(_MEMBERS[:members]), min_size=1, unique=True))
    counts = draw(st.dictionaries(st.sampled_from(_TOPICS[:topics]), st.integers(1, partitions), min_size=1))
    chosen = st.lists(st.sampled_from([*_TOPICS[:topics], "missing"]), unique=True)
    if draw(st.booleans()) if equal is None else equal:
        same = draw(chosen)
        subscriptions = {name: draw(st.permutations(same)) for name in names}
    else:
        subscriptions = {name: draw(chosen) for name in names}
    owned: dict[str, list[TopicPartition]] = {name: [] for name in _MEMBERS_OF_OLD}
    for partition in existing(counts):
        for owner in draw(st.lists(st.sampled_from(_MEMBERS_OF_OLD[-1:] + names), max_size=1)):
            owned[owner].append(partition)
    for owner, partition in draw(st.lists(st.tuples(st.sampled_from(_MEMBERS_OF_OLD), st.sampled_from(_CLAIMED)), max_size=3)):
        owned[owner].append(partition)
    return Group(subscriptions, counts, owned)


# --- the slow and obvious ------------------------------------------------------------------------------------------------


def existing(partition_counts: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in sorted(partition_counts) for number in range(partition_counts[topic])]


def subscribers(group: Group, topic: str) -> list[str]:
    return [member for member in sorted(group.subscriptions) if topic in group.subscriptions[member]]


def assignable(group: Group) -> list[TopicPartition]:
    return [partition for partition in existing(group.partition_counts) if subscribers(group, partition.topic)]


def rightful_owners(group: Group) -> dict[TopicPartition, str]:
    """Who may keep a partition: its subscriber, if nobody else in the group claims it."""
    owners = {}
    for partition in assignable(group):
        claimants = [member for member in group.subscriptions if partition in group.owned.get(member, [])]
        if len(claimants) == 1 and claimants[0] in subscribers(group, partition.topic):
            owners[partition] = claimants[0]
    return owners


def count_kept(group: Group, assignment: Assignment) -> int:
    owners = rightful_owners(group)
    return sum(owners.get(partition) == member for member, partitions in assignment.items() for partition in partitions)


def spread(assignment: Assignment) -> int:
    """By how many partitions the largest share exceeds the smallest."""
    counts = [len(partitions) for partitions in assignment.values()]
    return max(counts) - min(counts)


def is_balanced(group: Group, assignment: Assignment) -> bool:
    """Kafka's definition: nobody has a partition that could go to a member with at least two fewer."""
    return not any(
        len(assignment[giver]) - len(assignment[taker]) >= 2 and partition.topic in group.subscriptions[taker]
        for giver in assignment
        for partition in assignment[giver]
        for taker in assignment
    )


def every_assignment(group: Group) -> Iterable[Assignment]:
    partitions = assignable(group)
    for owners in product(*(subscribers(group, partition.topic) for partition in partitions)):
        assignment: dict[str, list[TopicPartition]] = {member: [] for member in group.subscriptions}
        for partition, owner in zip(partitions, owners, strict=True):
            assignment[owner].append(partition)
        yield assignment


def ranges(group: Group) -> Assignment:
    """Each topic dealt like cards, to see how many everyone gets; then that many from the front of the topic to each."""
    assignment: dict[str, list[TopicPartition]] = {member: [] for member in group.subscriptions}
    for topic in sorted(group.partition_counts):
        members = subscribers(group, topic)
        partitions = iter(existing({topic: group.partition_counts[topic]}))
        for place, member in enumerate(members):
            dealt = range(place, group.partition_counts[topic], len(members))
            assignment[member] += islice(partitions, len(dealt))
    return assignment


def rounds(group: Group) -> Assignment:
    """Each partition to the first in a queue who subscribes to the topic; that member and all before it queue up again."""
    assignment: dict[str, list[TopicPartition]] = {member: [] for member in group.subscriptions}
    queue = sorted(group.subscriptions)
    for partition in assignable(group):
        place = next(place for place, member in enumerate(queue) if member in subscribers(group, partition.topic))
        assignment[queue[place]].append(partition)
        queue = queue[place + 1 :] + queue[: place + 1]
    return assignment


# --- all assignors -------------------------------------------------------------------------------------------------------


@EVERY_ASSIGNOR
@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_each_partition_goes_to_exactly_one_subscriber(assign: Assignor, group: Group) -> None:
    assignment = assign(*group)
    assert assignment.keys() == group.subscriptions.keys()
    assert sorted(partition for partitions in assignment.values() for partition in partitions) == assignable(group)
    for member, partitions in assignment.items():
        assert {partition.topic for partition in partitions} <= set(group.subscriptions[member])
        assert partitions == sorted(partitions)


@EVERY_ASSIGNOR
@given(group=groups(), data=st.data())
@settings(deadline=None, print_blob=True)
def test_no_order_of_what_is_given_matters(assign: Assignor, group: Group, data: st.DataObject) -> None:
    shuffled = Group(
        {member: data.draw(st.permutations(topics)) for member, topics in data.draw(st.permutations([*group[0].items()]))},
        dict(data.draw(st.permutations([*group[1].items()]))),
        {member: data.draw(st.permutations(claims)) for member, claims in data.draw(st.permutations([*group[2].items()]))},
    )
    assert list(assign(*shuffled).items()) == list(assign(*group).items())


@EVERY_ASSIGNOR
@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_nothing_that_is_given_is_changed(assign: Assignor, group: Group) -> None:
    copy = Group(*({key: value if isinstance(value, int) else [*value] for key, value in part.items()} for part in group))
    assign(*group)
    assert group == copy


@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_range_gives_the_ranges_of_the_model(group: Group) -> None:
    assert assign_range(*group) == ranges(group)


@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_round_robin_gives_the_rounds_of_the_model(group: Group) -> None:
    assert assign_round_robin(*group) == rounds(group)


# --- cooperative-sticky --------------------------------------------------------------------------------------------------


@given(group=groups(equal=True))
@settings(deadline=None, print_blob=True)
def test_equal_subscriptions_give_equal_shares(group: Group) -> None:
    assert spread(assign_cooperative_sticky(*group)) <= 1


@given(group=groups(equal=False))
@settings(max_examples=300, deadline=None, print_blob=True)
def test_differing_subscriptions_are_balanced_as_kafka_means_it(group: Group) -> None:
    assert is_balanced(group, assign_cooperative_sticky(*group))


@given(group=groups(equal=True, members=4, topics=2, partitions=3))
@settings(deadline=None, print_blob=True)
def test_no_assignment_with_equal_shares_keeps_more(group: Group) -> None:
    most = max(count_kept(group, assignment) for assignment in every_assignment(group) if spread(assignment) <= 1)
    assert count_kept(group, assign_cooperative_sticky(*group)) == most


@given(group=groups(members=4, topics=3, partitions=3), data=st.data())
@settings(max_examples=200, deadline=None, print_blob=True)
def test_something_moves_only_if_the_owners_are_out_of_balance(group: Group, data: st.DataObject) -> None:
    held: dict[str, list[TopicPartition]] = {member: [] for member in group.subscriptions}
    for partition in assignable(group):
        held[data.draw(st.sampled_from(subscribers(group, partition.topic)))].append(partition)
    assignment = assign_cooperative_sticky(group.subscriptions, group.partition_counts, held)
    assert (assignment == held) == is_balanced(group, held)


@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_an_assignment_stays_as_it_is(group: Group) -> None:
    assignment = assign_cooperative_sticky(*group)
    assert assign_cooperative_sticky(group.subscriptions, group.partition_counts, assignment) == assignment


@given(group=groups())
@settings(deadline=None, print_blob=True)
def test_nobody_swaps_partitions_that_are_as_good_as_each_other(group: Group) -> None:
    """Of topics with the same subscribers no member gives some up and gets others."""
    assignment = assign_cooperative_sticky(*group)
    owners = rightful_owners(group)
    given_up = {(owner, *subscribers(group, p.topic)) for p, owner in owners.items() if p not in assignment[owner]}
    received = {(m, *subscribers(group, p.topic)) for m in assignment for p in assignment[m] if owners.get(p) != m}
    assert not given_up & received


@given(group=groups(equal=True), leaving=st.sampled_from(_MEMBERS))
@settings(deadline=None, print_blob=True)
def test_when_a_member_leaves_only_its_partitions_move(group: Group, leaving: str) -> None:
    before = assign_cooperative_sticky(*group)
    rest = {member: topics for member, topics in group.subscriptions.items() if member != leaving}
    after = assign_cooperative_sticky(rest, group.partition_counts, before)
    assert after.keys() == rest.keys()
    for member in after:
        assert set(before[member]) <= set(after[member])


@given(group=groups(equal=True))
@settings(deadline=None, print_blob=True)
def test_when_a_member_joins_partitions_move_to_it_only(group: Group) -> None:
    before = assign_cooperative_sticky(*group)
    topics = next(iter(group.subscriptions.values()))
    for joining in ("Aaron", "zoe"):
        after = assign_cooperative_sticky({**group.subscriptions, joining: topics}, group.partition_counts, before)
        for member in before:
            assert set(after[member]) <= set(before[member])


@given(group=groups(), leaving=st.sampled_from(_MEMBERS), new_counts=st.lists(st.integers(0, 6), min_size=4, max_size=4))
@settings(deadline=None, print_blob=True)
def test_a_group_stays_balanced_as_members_leave_and_topics_change(group: Group, leaving: str, new_counts: list[int]) -> None:
    before = assign_cooperative_sticky(*group)
    rest = {member: topics for member, topics in group.subscriptions.items() if member != leaving}
    changed = Group(rest, {topic: count for topic, count in zip(_TOPICS, new_counts, strict=True) if count}, before)
    after = assign_cooperative_sticky(*changed)
    assert sorted(partition for partitions in after.values() for partition in partitions) == assignable(changed)
    assert is_balanced(changed, after)
