"""The assignors give what Kafka's own documentation and tests expect of Kafka's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eventlog.groups.assignors import ASSIGNORS, Assignor, assign_cooperative_sticky, assign_range, assign_round_robin
from eventlog.records.record import TopicPartition

EVERY_ASSIGNOR = pytest.mark.parametrize("assign", ASSIGNORS.values(), ids=ASSIGNORS)


def partitions(names: str) -> list[TopicPartition]:
    """Partitions from names as they are printed, "t0/0 t0/1"."""
    pairs = [name.rsplit("/", 1) for name in names.split()]
    return [TopicPartition(topic, int(number)) for topic, number in pairs]


def run(
    assign: Assignor, counts: dict[str, int], subscriptions: dict[str, str], owned: dict[str, str] | None = None
) -> dict[str, str]:
    """Call an assignor, with topics and partitions written as words."""
    assignment = assign(
        {member: topics.split() for member, topics in subscriptions.items()},
        counts,
        {member: partitions(names) for member, names in (owned or {}).items()},
    )
    return {member: " ".join(map(str, assigned)) for member, assigned in assignment.items()}


def test_the_assignors_are_found_by_name() -> None:
    assert list(ASSIGNORS) == ["range", "round-robin", "cooperative-sticky"]
    assert list(ASSIGNORS.values()) == [assign_range, assign_round_robin, assign_cooperative_sticky]


# --- all of them, from RangeAssignorTest, RoundRobinAssignorTest and AbstractStickyAssignorTest --------------------------


@EVERY_ASSIGNOR
def test_without_members_there_is_nothing_to_assign(assign: Assignor) -> None:
    assert run(assign, {"t": 3}, {}) == {}


@EVERY_ASSIGNOR
@pytest.mark.parametrize("topics", ["", "missing", "empty"])
def test_a_member_without_an_existing_partition_gets_an_empty_list(assign: Assignor, topics: str) -> None:
    assert run(assign, {"t": 3, "empty": 0}, {"c": topics}) == {"c": ""}


@EVERY_ASSIGNOR
def test_a_missing_topic_does_not_count(assign: Assignor) -> None:
    assert run(assign, {"t": 2}, {"c0": "a-missing t", "c1": "missing t"}) == {"c0": "t/0", "c1": "t/1"}


@EVERY_ASSIGNOR
def test_a_topic_without_subscribers_is_left_alone(assign: Assignor) -> None:
    assert run(assign, {"other": 3, "t": 3}, {"c": "t"}) == {"c": "t/0 t/1 t/2"}


@EVERY_ASSIGNOR
def test_a_single_member_gets_all_its_topics(assign: Assignor) -> None:
    assert run(assign, {"t1": 1, "t2": 2}, {"c": "t2 t1"}) == {"c": "t1/0 t2/0 t2/1"}


@EVERY_ASSIGNOR
def test_more_members_than_partitions_leave_the_last_without(assign: Assignor) -> None:
    assert run(assign, {"t": 1}, {"c1": "t", "c0": "t"}) == {"c0": "t/0", "c1": ""}


@EVERY_ASSIGNOR
def test_a_topic_that_is_subscribed_to_twice_counts_once(assign: Assignor) -> None:
    assert run(assign, {"t": 2}, {"c0": "t t", "c1": "t"}) == {"c0": "t/0", "c1": "t/1"}


@EVERY_ASSIGNOR
def test_partitions_are_sorted_by_number_and_not_by_name(assign: Assignor) -> None:
    assert run(assign, {"t": 12}, {"c": "t"}) == {"c": " ".join(f"t/{number}" for number in range(12))}


# --- range ---------------------------------------------------------------------------------------------------------------


def test_range_cuts_every_topic_on_its_own() -> None:
    """The example in the documentation of Kafka's RangeAssignor."""
    assigned = run(assign_range, {"t0": 3, "t1": 3}, {"C0": "t0 t1", "C1": "t0 t1"})
    assert assigned == {"C0": "t0/0 t0/1 t1/0 t1/1", "C1": "t0/2 t1/2"}


def test_range_cuts_a_topic_for_its_subscribers_only() -> None:
    """RangeAssignorTest.testMultipleConsumersMixedTopics."""
    assigned = run(assign_range, {"t1": 3, "t2": 2}, {"c1": "t1", "c2": "t1 t2", "c3": "t1"})
    assert assigned == {"c1": "t1/0", "c2": "t1/1 t2/0 t2/1", "c3": "t1/2"}


def test_range_gives_what_does_not_come_out_even_to_the_first() -> None:
    assigned = run(assign_range, {"t": 8}, {"c2": "t", "c1": "t", "c3": "t"})
    assert assigned == {"c1": "t/0 t/1 t/2", "c2": "t/3 t/4 t/5", "c3": "t/6 t/7"}


# --- round-robin ---------------------------------------------------------------------------------------------------------


def test_round_robin_goes_on_with_the_next_member_at_the_next_topic() -> None:
    """The first example in the documentation of Kafka's RoundRobinAssignor."""
    assigned = run(assign_round_robin, {"t0": 3, "t1": 3}, {"C0": "t0 t1", "C1": "t0 t1"})
    assert assigned == {"C0": "t0/0 t0/2 t1/1", "C1": "t0/1 t1/0 t1/2"}


def test_round_robin_passes_over_who_does_not_subscribe() -> None:
    """The second example in the documentation of Kafka's RoundRobinAssignor."""
    assigned = run(assign_round_robin, {"t0": 1, "t1": 2, "t2": 3}, {"C0": "t0", "C1": "t0 t1", "C2": "t0 t1 t2"})
    assert assigned == {"C0": "t0/0", "C1": "t1/0", "C2": "t1/1 t2/0 t2/1 t2/2"}


def test_round_robin_does_not_make_up_for_a_turn_that_was_passed_over() -> None:
    """The scenario of AbstractStickyAssignorTest.testPoorRoundRobinAssignmentScenario."""
    every, odd = "t1 t2 t3 t4 t5", "t1 t3 t5"
    counts = {"t1": 2, "t2": 1, "t3": 2, "t4": 1, "t5": 2}
    assigned = run(assign_round_robin, counts, {"c1": every, "c2": odd, "c3": odd, "c4": every})
    assert assigned == {"c1": "t1/0 t3/0 t5/0", "c2": "t1/1 t3/1 t5/1", "c3": "", "c4": "t2/0 t4/0"}


# --- cooperative-sticky, equal subscriptions: examples of AbstractStickyAssignorTest -------------------------------------


def test_sticky_begins_like_round_robin() -> None:
    assigned = run(assign_cooperative_sticky, {"t1": 3, "t2": 3}, {"c1": "t1 t2", "c2": "t1 t2"})
    assert assigned == {"c1": "t1/0 t1/2 t2/1", "c2": "t1/1 t2/0 t2/2"}


def test_sticky_gives_one_more_to_who_has_fewest() -> None:
    """testConsumerOwningMinQuotaExpectedMaxQuota."""
    owned = {"c1": "t1/0 t2/1", "c2": "t1/1 t2/2"}
    assigned = run(assign_cooperative_sticky, {"t1": 2, "t2": 3}, dict.fromkeys(owned, "t1 t2"), owned)
    assert assigned == {"c1": "t1/0 t2/0 t2/1", "c2": "t1/1 t2/2"}


def test_sticky_takes_from_one_member_only_if_one_is_enough() -> None:
    """testMaxQuotaConsumerMoreThanNumExpectedMaxCapacityMembers, but Kafka takes from c1."""
    owned = {"c1": "t1/0 t2/0", "c2": "t1/1 t2/1", "c3": ""}
    assigned = run(assign_cooperative_sticky, {"t1": 2, "t2": 2}, dict.fromkeys(owned, "t1 t2"), owned)
    assert assigned == {"c1": "t1/0 t2/0", "c2": "t1/1", "c3": "t2/1"}


def test_sticky_fills_up_who_has_too_few() -> None:
    """testAllConsumersAreUnderMinQuota."""
    owned = {"c1": "t1/0", "c2": "t1/1", "c3": ""}
    assigned = run(assign_cooperative_sticky, {"t1": 2, "t2": 3}, dict.fromkeys(owned, "t1 t2"), owned)
    assert assigned == {"c1": "t1/0 t2/1", "c2": "t1/1 t2/2", "c3": "t2/0"}


def test_sticky_leaves_who_is_full_alone() -> None:
    """testAllConsumersReachExpectedQuotaAndAreConsideredFilled."""
    owned = {"c1": "t/0 t/1", "c2": "t/2", "c3": ""}
    assigned = run(assign_cooperative_sticky, {"t": 4}, dict.fromkeys(owned, "t"), owned)
    assert assigned == {"c1": "t/0 t/1", "c2": "t/2", "c3": "t/3"}


def test_sticky_gives_up_from_all_topics_alike() -> None:
    """testTopicBalanceAfterReassignment: one member, then two, then four, have as many of the one topic as of the other."""
    members = ["c1"]
    owned: dict[str, str] = {}
    for joining in ([], ["c2"], ["c3", "c4"]):
        members += joining
        owned = run(assign_cooperative_sticky, {"t1": 12, "t2": 12}, dict.fromkeys(members, "t1 t2"), owned)
        each = 12 // len(members)
        assert [(names.count("t1/"), names.count("t2/")) for names in owned.values()] == [(each, each)] * len(members)


def test_sticky_as_members_come_and_go() -> None:
    """testAddRemoveTwoConsumersTwoTopics."""
    counts = {"t1": 3, "t2": 4}
    two = run(assign_cooperative_sticky, counts, dict.fromkeys(["c1", "c2"], "t1 t2"))
    assert two == {"c1": "t1/0 t1/2 t2/1 t2/3", "c2": "t1/1 t2/0 t2/2"}
    four = run(assign_cooperative_sticky, counts, dict.fromkeys(["c1", "c2", "c3", "c4"], "t1 t2"), two)
    assert four == {"c1": "t1/0 t2/1", "c2": "t1/1 t2/0", "c3": "t1/2 t2/3", "c4": "t2/2"}
    last = run(assign_cooperative_sticky, counts, dict.fromkeys(["c3", "c4"], "t1 t2"), four)
    assert last == {"c3": "t1/1 t1/2 t2/1 t2/3", "c4": "t1/0 t2/0 t2/2"}


def test_sticky_moves_a_hundredth_to_each_who_joins_a_single_owner() -> None:
    members = [f"member-{number:02}" for number in range(100)]
    owned = {members[0]: partitions(" ".join(f"t/{number}" for number in range(5_000)))}
    assigned = assign_cooperative_sticky({member: ["t"] for member in members}, {"t": 5_000}, owned)
    assert {len(partitions) for partitions in assigned.values()} == {50}
    assert assigned[members[0]] == owned[members[0]][:50]


# --- cooperative-sticky: owners that do not count ------------------------------------------------------------------------


def test_what_two_members_claim_stays_with_neither() -> None:
    """CooperativeStickyAssignorTest.testAllConsumersHaveOwnedPartitionInvalidated...; there t/0 is withheld from c3."""
    owned = {"c1": "t/0 t/1", "c2": "t/0 t/2", "c3": ""}
    equal = run(assign_cooperative_sticky, {"t": 3}, dict.fromkeys(owned, "t"), owned)
    assert equal == {"c1": "t/1", "c2": "t/2", "c3": "t/0"}
    unequal = run(assign_cooperative_sticky, {"t": 4}, dict.fromkeys(owned, "t"), owned)
    assert unequal == {"c1": "t/1 t/3", "c2": "t/2", "c3": "t/0"}


def test_what_three_members_claim_is_free_for_anybody() -> None:
    owned = {"c1": "t/0", "c2": "t/0", "c3": "t/0 t/1", "c4": ""}
    assigned = run(assign_cooperative_sticky, {"t": 2}, dict.fromkeys(owned, "t"), owned)
    assert assigned == {"c1": "t/0", "c2": "", "c3": "t/1", "c4": ""}


@pytest.mark.parametrize(
    "owned",
    [
        pytest.param({"gone": "t/2", "c2": "t/2"}, id="a member that is gone claims it too"),
        pytest.param({"c2": "t/2 t/2"}, id="a member claims it twice"),
        pytest.param({"c1": "t/4 t/-1 missing/0", "c2": "t/2"}, id="others claim what does not exist"),
        pytest.param({"c1": "other/0", "c2": "t/2"}, id="others claim what nobody subscribes to"),
    ],
)
def test_claims_that_mean_nothing_change_nothing(owned: dict[str, str]) -> None:
    assigned = run(assign_cooperative_sticky, {"t": 4, "other": 1}, {"c1": "t", "c2": "t"}, owned)
    assert assigned == {"c1": "t/0 t/1", "c2": "t/2 t/3"}


def test_what_a_member_no_longer_subscribes_to_goes_to_others() -> None:
    assigned = run(assign_cooperative_sticky, {"t1": 1, "t2": 1}, {"c1": "t2", "c2": "t1 t2"}, {"c1": "t1/0 t2/0"})
    assert assigned == {"c1": "t2/0", "c2": "t1/0"}


# --- cooperative-sticky, differing subscriptions -------------------------------------------------------------------------


def test_sticky_serves_first_who_has_no_choice() -> None:
    """AbstractStickyAssignorTest.testMultipleConsumersMixedTopicSubscriptions."""
    assigned = run(assign_cooperative_sticky, {"t1": 3, "t2": 2}, {"c1": "t1", "c2": "t1 t2", "c3": "t1"})
    assert assigned == {"c1": "t1/0 t1/2", "c2": "t2/0 t2/1", "c3": "t1/1"}


def test_sticky_is_even_where_round_robin_is_not() -> None:
    """AbstractStickyAssignorTest.testPoorRoundRobinAssignmentScenario."""
    every, odd = "t1 t2 t3 t4 t5", "t1 t3 t5"
    counts = {"t1": 2, "t2": 1, "t3": 2, "t4": 1, "t5": 2}
    assigned = run(assign_cooperative_sticky, counts, {"c1": every, "c2": odd, "c3": odd, "c4": every})
    assert [len(names.split()) for names in assigned.values()] == [2, 2, 2, 2]


def test_sticky_leaves_a_difference_that_no_single_move_evens_out() -> None:
    """AbstractStickyAssignorTest.testMoveExistingAssignments: c1 has two fewer than c3, but subscribes to nothing of c3's."""
    subscriptions = {"c1": "t1 t2", "c2": "t1 t2 t3 t4", "c3": "t2 t3 t4 t5 t6"}
    owned = {"c1": "t1/0", "c2": "t2/0 t3/0", "c3": "t4/0 t5/0 t6/0"}
    assert run(assign_cooperative_sticky, dict.fromkeys(["t1", "t2", "t3", "t4", "t5", "t6"], 1), subscriptions, owned) == owned


def test_sticky_passes_on_through_a_member_in_between() -> None:
    """a cannot give to c; b has to, and only then can a give to b."""
    subscriptions = {"a": "left", "b": "left right", "c": "right"}
    owned = {"a": "left/0 left/1 left/2", "b": "right/0 right/1", "c": ""}
    assigned = run(assign_cooperative_sticky, {"left": 3, "right": 2}, subscriptions, owned)
    assert assigned == {"a": "left/0 left/1", "b": "left/2 right/0", "c": "right/1"}


def test_sticky_gives_away_first_what_the_giver_did_not_have_before() -> None:
    """b gets one more of x, and then all that is free of z; d can take something of x or y then, and only y/0 was b's."""
    subscriptions = {"b": "x y z", "d": "x y", "e": "y z", "f": "y z"}
    owned = {"b": "y/0", "e": "z/0 z/1 z/2 z/3", "f": "z/4 z/5 z/6 z/7"}
    assigned = run(assign_cooperative_sticky, {"x": 3, "y": 1, "z": 10}, subscriptions, owned)
    assert assigned == {**owned, "b": "y/0 z/8 z/9", "d": "x/0 x/1 x/2"}


def test_sticky_gives_what_is_free_to_who_has_fewest() -> None:
    owned = {"a": "", "b": "y/0", "c": ""}
    assigned = run(assign_cooperative_sticky, {"x": 1, "y": 1}, {"a": "y", "b": "x y", "c": "x"}, owned)
    assert assigned == {"a": "", "b": "y/0", "c": "x/0"}


def test_sticky_gives_away_first_what_fewest_could_have() -> None:
    """b has three, and y/0 could go to a or c, x/0 and x/1 only to a. With y/0 at a, two and one and none are balanced."""
    owned = {"a": "", "b": "x/0 x/1 y/0", "c": ""}
    assigned = run(assign_cooperative_sticky, {"x": 2, "y": 1}, {"a": "x y", "b": "x y", "c": "y"}, owned)
    assert assigned == {"a": "y/0", "b": "x/0 x/1", "c": ""}


def test_sticky_is_not_held_up_by_members_that_can_take_nothing_more() -> None:
    """c has x alone. a takes y/0, which leaves nothing for b and d; e takes z/0 all the same."""
    subscriptions = {"a": "y", "b": "y", "c": "x y z", "d": "y", "e": "y z"}
    owned = {"a": "", "b": "", "c": "y/0 z/0", "d": "", "e": ""}
    assigned = run(assign_cooperative_sticky, {"x": 2, "y": 1, "z": 1}, subscriptions, owned)
    assert assigned == {"a": "y/0", "b": "", "c": "x/0 x/1", "d": "", "e": "z/0"}


# --- determinism ---------------------------------------------------------------------------------------------------------

_PRINT_ASSIGNMENTS = """
from eventlog.groups.assignors import ASSIGNORS
topics = [f"topic-{number}" for number in range(12)]
members = [f"member-{number}" for number in range(9)]
subscriptions = {member: topics[place // 2 :: 1 + place % 3] for place, member in enumerate(members)}
counts = {topic: 1 + place % 5 for place, topic in enumerate(topics)}
owned = ASSIGNORS["range"](subscriptions, counts, {})
for members_left in (members, members[3:], members[:-2]):
    for different in (subscriptions, dict.fromkeys(members, topics)):
        given = {member: different[member] for member in members_left}
        print([assign(given, counts, owned) for assign in ASSIGNORS.values()])
"""


def test_every_process_comes_to_the_same_assignment() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_ASSIGNMENTS],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in range(1, 5)
    }
    assert len(outputs) == 1 and "member-8" in outputs.pop()
