"""Metadata: the topics, their partitions, and the partition leader. Topics that do not exist are created if that is wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from eventlog.errors import EventLogError, TopicExistsError
from eventlog.options import check_topic_name
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import Topic
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.nodes import Node, leader_of
from eventlog.serve.protocol.messages import kind

_ALL_IF_EMPTY = 0  # the version in which an empty list means all topics
_WITH_CHOICE = 4  # from this version on, the client says whether a topic may be created
_ZERO_UUID = bytes(16)


async def answer_metadata(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """All topics, or those that the request names."""
    await broker.topics.refresh()
    nodes = broker.nodes(client)
    if request.topics is None or (version == _ALL_IF_EMPTY and not request.topics):
        topics = [_described(topic, nodes) for topic in broker.topics.by_name.values()]
    else:
        may_create = broker.settings.auto_create_topics and (version < _WITH_CHOICE or request.allow_auto_topic_creation)
        wanted = {(each.topic_id, each.name): each for each in request.topics}  # a topic that is named twice is answered once
        topics = [await _find(broker, nodes, each, may_create=may_create) for each in wanted.values()]
    entry = kind("MetadataResponse", "MetadataResponseBroker")
    brokers = [entry(node_id=node.id, host=node.host, port=node.port) for node in nodes]
    response = kind("MetadataResponse")
    return response(brokers=brokers, cluster_id=broker.cluster_id, controller_id=nodes[0].id, topics=topics)


async def _find(broker: Broker, nodes: list[Node], wanted: Any, *, may_create: bool) -> Any:
    by_id = wanted.topic_id != _ZERO_UUID
    try:
        if not by_id and may_create and wanted.name not in broker.topics.by_name:
            await _create(broker, wanted.name)
        return _described(broker.topic(wanted.name, wanted.topic_id, by_id=by_id), nodes)
    except (EventLogError, RefusedError) as error:
        entry = kind("MetadataResponse", "MetadataResponseTopic")
        name = wanted.name if wanted.name is not None or by_id else ""
        return entry(error_code=code_of(error), name=name, topic_id=wanted.topic_id)


async def _create(broker: Broker, name: str) -> None:
    try:
        check_topic_name(name)
    except EventLogError as error:
        raise RefusedError(errors.INVALID_TOPIC_EXCEPTION, str(error)) from None
    with suppress(TopicExistsError):  # another client or process was faster
        await broker.in_thread(lambda: broker.log.create_topic(name, broker.settings.partitions))
    await broker.topics.refresh()


def _described(topic: Topic, nodes: list[Node]) -> Any:
    entry = kind("MetadataResponse", "MetadataResponsePartition")
    partitions = []
    for number in range(topic.partitions):
        leader = leader_of(nodes, topic.name, number).id
        partitions.append(
            entry(partition_index=number, leader_id=leader, leader_epoch=-1, replica_nodes=[leader], isr_nodes=[leader])
        )
    return kind("MetadataResponse", "MetadataResponseTopic")(name=topic.name, topic_id=topic.id, partitions=partitions)
