"""OffsetCommit, OffsetFetch and OffsetDelete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from eventlog.errors import EventLogError, InvalidArgumentError, StaleMemberError
from eventlog.groups.classic import topics_in_use
from eventlog.groups.fencing import set_offsets
from eventlog.groups.remote_commits import (
    RemoteCommit,
    commit_at_once,
    commit_from_outside,
    commit_in_term,
    commit_slot_at_once,
    fetch_commits,
)
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.classic import ClassicGroup, State
from eventlog.serve.coordinator.consumer_group_commits import check_member, commit_for
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.coordinator.registry import Coordinated
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind

_METADATA_BYTES_MAX = 4096  # Kafka's offset.metadata.max.bytes
_NO_GENERATION = -1
_NOTHING = RemoteCommit(-1)
_NO_ID = bytes(16)
_FETCH_WITH_GROUPS = 8
_WITH_MEMBER_EPOCHS = 9
_WITH_IDS = 10


# --- OffsetCommit ----------------------------------------------------------------------------------------


async def answer_offset_commit(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Commit offsets, for a member of the current generation, or while the group has no members."""
    await broker.topics.refresh()
    commits: dict[TopicPartition, RemoteCommit] = {}
    topics, accepted = [], []
    for topic in request.topics:
        entries = []
        for each in topic.partitions:
            entry = kind("OffsetCommitResponse", "OffsetCommitResponsePartition")(partition_index=each.partition_index)
            try:
                name = broker.topic(topic.name, topic.topic_id, by_id=version >= _WITH_IDS).name
                commits[broker.partition(name, each.partition_index)] = checked_commit(each)
                accepted.append(entry)
            except RefusedError as error:
                entry.error_code = error.code
            entries.append(entry)
        of_topic = kind("OffsetCommitResponse", "OffsetCommitResponseTopic")
        topics.append(of_topic(name=topic.name, topic_id=topic.topic_id, partitions=entries))
    try:
        await _store(broker, version, request, commits)
    except (EventLogError, RefusedError) as error:
        for entry in accepted:
            entry.error_code = code_of(error)
    return kind("OffsetCommitResponse")(topics=topics)


def checked_commit(entry: Any) -> RemoteCommit:
    """What a request commits for a partition. Raises `RefusedError`."""
    metadata = entry.committed_metadata or ""
    if len(metadata.encode()) > _METADATA_BYTES_MAX:
        raise RefusedError(errors.OFFSET_METADATA_TOO_LARGE, f"the metadata has more than {_METADATA_BYTES_MAX} bytes")
    if entry.committed_offset < 0:
        raise RefusedError(errors.INVALID_REQUEST, f"{entry.committed_offset} is not an offset")
    return RemoteCommit(entry.committed_offset, max(-1, entry.committed_leader_epoch), metadata)


async def _store(broker: Broker, version: int, request: Any, commits: Mapping[TopicPartition, RemoteCommit]) -> None:
    check_group_id(request.group_id)
    if not commits:
        return
    generation = request.generation_id_or_member_epoch
    found = await broker.coordinator.find(request.group_id)
    if found is None or found.group.state is State.EMPTY:
        if generation != _NO_GENERATION:
            await _store_for_member(broker, version, request, commits)
            return
        await _store_from_outside(broker, request.group_id, found, commits)
        return
    check_may_commit(found.group, request.member_id, request.group_instance_id, generation)
    left = commits
    if not found.writing.locked():
        left = {each: commit for each, commit in commits.items() if not commit_at_once(found.term, each, commit)}
    if left:
        await broker.coordinator.run_alone(found, lambda: commit_in_term(broker.coordinator.groups, found.term, left))


async def _store_for_member(
    broker: Broker, version: int, request: Any, commits: Mapping[TopicPartition, RemoteCommit]
) -> None:
    """Commit for a member of the consumer protocol; immediately, if nothing has to be waited for."""
    group, member_id, epoch = request.group_id, request.member_id, request.generation_id_or_member_epoch
    member = broker.consumer_groups.member_at(group, member_id, epoch) if version >= _WITH_MEMBER_EPOCHS else None
    left = commits
    if member is not None:
        with suppress(StaleMemberError):  # the partition was just given to another member: the rest says so
            left = {each: commit for each, commit in commits.items() if not commit_slot_at_once(member.slot(each), commit)}
    if left:
        await broker.in_thread(lambda: commit_for(broker.coordinator.groups, group, member_id, epoch, version, left))


def check_may_commit(
    group: ClassicGroup,
    member_id: str,
    instance_id: str | None,
    generation: int,
    *,
    is_transactional: bool = False,
    shows_life: bool = True,
) -> None:
    """Raise `RefusedError` unless this member may commit offsets of its group; its session begins anew if that `shows_life`. A
    transactional producer of an older version does not say which member it is."""
    if is_transactional and generation == _NO_GENERATION and not member_id and instance_id is None:
        return
    member = group.current_member(member_id, instance_id, generation)
    if group.state is State.COMPLETING and not is_transactional:
        raise RefusedError(errors.REBALANCE_IN_PROGRESS, "the members are joining again")
    if shows_life:
        group.seen(member)


async def _store_from_outside(
    broker: Broker, group_id: str, found: Coordinated | None, commits: Mapping[TopicPartition, RemoteCommit]
) -> None:
    groups = broker.coordinator.groups
    if found is not None:  # a client is about to join
        await broker.coordinator.run_alone(found, lambda: commit_in_term(groups, found.term, commits))
        return
    try:
        await broker.in_thread(lambda: commit_from_outside(groups, group_id, commits))
    except (InvalidArgumentError, StaleMemberError) as error:
        raise RefusedError(errors.UNKNOWN_MEMBER_ID, str(error)) from None


# --- OffsetFetch -----------------------------------------------------------------------------------------


async def answer_offset_fetch(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The committed offsets of one group, or from version 8 on of several; -1 where nothing was committed."""
    response = kind("OffsetFetchResponse")
    if version >= _WITH_IDS:
        await broker.topics.refresh()
    if version >= _FETCH_WITH_GROUPS:
        entry = kind("OffsetFetchResponse", "OffsetFetchResponseGroup")
        names = ("OffsetFetchResponseTopics", "OffsetFetchResponsePartitions")
        groups = []
        for each in request.groups:
            wanted = _wanted(broker, each.topics, by_id=version >= _WITH_IDS)
            member = each.member_id, each.member_epoch
            code, topics = await _fetch(broker, each.group_id, wanted, names, request.require_stable, *member)
            groups.append(entry(group_id=each.group_id, topics=topics, error_code=code))
        return response(groups=groups)
    names = ("OffsetFetchResponseTopic", "OffsetFetchResponsePartition")
    wanted = _wanted(broker, request.topics, by_id=False)
    code, topics = await _fetch(broker, request.group_id, wanted, names, request.require_stable)
    return response(topics=topics, error_code=code)


class _Wanted(NamedTuple):
    """A topic of which a client wants the offsets in some partitions; it has no name if there is none of the id."""

    name: str | None
    id: bytes
    partitions: list[int]


def _wanted(broker: Broker, topics: Any, *, by_id: bool) -> list[_Wanted] | None:
    """What a request names; None for all that the group has committed."""
    if topics is None:
        return None
    if not by_id:
        return [_Wanted(each.name, _NO_ID, each.partition_indexes) for each in topics]
    names = {topic_id: topic.name for topic_id, topic in broker.topics.by_id.items()}
    return [_Wanted(names.get(each.topic_id), each.topic_id, each.partition_indexes) for each in topics]


async def _fetch(
    broker: Broker,
    group_id: str,
    wanted: list[_Wanted] | None,
    names: tuple[str, str],
    require_stable: bool,
    member_id: str | None = None,
    member_epoch: int = _NO_GENERATION,
) -> tuple[int, list[Any]]:
    """The error code, and the entries for the topics; `wanted` is None for all that the group has committed. A member of the
    consumer protocol names its id and epoch. With `require_stable` it has to ask again while a transaction may still commit."""
    topic_entry, partition_entry = (kind("OffsetFetchResponse", name) for name in names)
    try:
        check_group_id(group_id)
        if member_id is not None and member_epoch >= 0 and await broker.coordinator.find(group_id) is None:
            await broker.in_thread(lambda: check_member(broker.coordinator.groups, group_id, member_id, member_epoch))
        pending = await broker.in_thread(lambda: _pending(broker, group_id)) if require_stable else set()
        commits = await broker.in_thread(lambda: fetch_commits(broker.coordinator.groups, group_id))
    except (EventLogError, RefusedError) as error:
        code, commits, pending = code_of(error), {}, set()
    else:
        code = errors.NONE
    topics = []
    for topic in _by_topic(broker, {*commits, *pending}) if wanted is None else wanted:
        entries = []
        for number in topic.partitions:
            where = TopicPartition(topic.name or "", number)
            commit = _NOTHING if where in pending else commits.get(where, _NOTHING)
            missing = errors.UNKNOWN_TOPIC_ID if topic.name is None else code
            entries.append(
                partition_entry(
                    partition_index=number,
                    committed_offset=commit.offset,
                    committed_leader_epoch=commit.leader_epoch,
                    metadata=commit.metadata,
                    error_code=errors.UNSTABLE_OFFSET_COMMIT if where in pending else missing,
                )
            )
        found = topic_entry(name=topic.name or "", partitions=entries)
        if "topic_id" in found.field_names:
            found.topic_id = topic.id
        topics.append(found)
    return code, topics


def _pending(broker: Broker, group_id: str) -> set[TopicPartition]:
    """Asked before the committed offsets: a transaction that ends in between has committed them."""
    return broker.log.store.catalog.transactions.pending(group_id)


def _by_topic(broker: Broker, partitions: Iterable[TopicPartition]) -> list[_Wanted]:
    found: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        found.setdefault(topic, []).append(partition)
    known = broker.topics.by_name
    return [_Wanted(name, known[name].id if name in known else _NO_ID, numbers) for name, numbers in found.items()]


# --- OffsetDelete ----------------------------------------------------------------------------------------


async def answer_offset_delete(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Delete committed offsets of topics that no member subscribes to."""
    response = kind("OffsetDeleteResponse")()
    entry = kind("OffsetDeleteResponse", "OffsetDeleteResponsePartition")
    await broker.topics.refresh()
    try:
        check_group_id(request.group_id)
        await broker.coordinator.find(request.group_id)
        in_use = await broker.in_thread(lambda: _topics_in_use(broker, request.group_id))
        wanted: dict[TopicPartition, int | None] = {}
        topics = []
        for topic in request.topics:
            entries = [entry(partition_index=each.partition_index) for each in topic.partitions]
            for each in entries:
                try:
                    partition = broker.partition(topic.name, each.partition_index)
                    if topic.name in in_use:
                        raise RefusedError(errors.GROUP_SUBSCRIBED_TO_TOPIC, f"members subscribe to {topic.name!r}")
                    wanted[partition] = None
                except RefusedError as error:
                    each.error_code = error.code
            topics.append(kind("OffsetDeleteResponse", "OffsetDeleteResponseTopic")(name=topic.name, partitions=entries))
        await broker.in_thread(lambda: _delete(broker, request.group_id, wanted))
        response.topics = topics
    except (EventLogError, RefusedError) as error:
        response.error_code = code_of(error)
    return response


def _topics_in_use(broker: Broker, group_id: str) -> set[str]:
    groups = broker.coordinator.groups
    table = groups.find(group_id)
    if table is None:
        raise RefusedError(errors.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
    state = table.state()
    native = [member for member in state.members.values() if not groups.coordinator.is_gone(table, member)]
    remote = topics_in_use(groups.coordinator, state)
    if groups.coordinator.has_live_classic_members(state) and not remote:
        raise RefusedError(errors.NON_EMPTY_GROUP, f"the members of group {group_id!r} are not consumers")
    return remote | {topic for member in native for topic in member.topics}


def _delete(broker: Broker, group_id: str, wanted: dict[TopicPartition, int | None]) -> None:
    table = broker.coordinator.groups.find(group_id)
    committed = {} if table is None else table.all_committed()
    offsets = {partition: None for partition in wanted if partition in committed}
    if table is not None and offsets:
        set_offsets(broker.coordinator.groups, table, offsets, "delete")
