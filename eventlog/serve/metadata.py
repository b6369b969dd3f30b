"""Metadata: the topics, their partitions, and the partition leaders. Topics that do not exist are created if that is wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from eventlog.errors import EventLogError, TopicExistsError
from eventlog.options import check_topic_name
from eventlog.serve import errors, operations
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import Topic
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.lists import encoded_partitions, wait_for_turn
from eventlog.serve.nodes import Node
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import encoder_of, kind
from eventlog.serve.security.users import Resource
from eventlog.serve.turns import in_turns

_ALL_IF_EMPTY = 0  # the version in which an empty list means all topics
_WITH_CHOICE = 4  # from this version on, the client says whether a topic may be created
_WITH_EPOCHS = 7
_WITH_NULLABLE_NAMES = 12
_ZERO_UUID = bytes(16)
INTERNAL_TOPICS = {"__consumer_offsets", "__transaction_state"}  # of a directory that came from a broker


async def answer_metadata(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """All topics, or those that the request names."""
    await broker.topics.refresh()
    if request.topics is None or (version == _ALL_IF_EMPTY and not request.topics):
        found: list[Any] = list(broker.topics.by_name.values())
    else:
        may_create = broker.settings.auto_create_topics and (version < _WITH_CHOICE or request.allow_auto_topic_creation)
        wanted = {(each.topic_id, each.name): each for each in request.topics}  # a topic that is named twice is answered once
        found = [await _find(broker, version, each, may_create=may_create) async for each in in_turns(wanted.values())]
    nodes = broker.nodes(client)
    entry = kind("MetadataResponse", "MetadataResponseBroker")
    return kind("MetadataResponse")(
        brokers=[
            entry(node_id=node.id, host=node.host, port=node.port) for node in broker.servers.with_expected(nodes, client.host)
        ],
        cluster_id=broker.cluster_id,
        controller_id=nodes[0].id,
        topics=await _encoded(broker, client, version, found, nodes, request),
        cluster_authorized_operations=(
            operations.allowed(client, Resource.CLUSTER)
            if request.include_cluster_authorized_operations
            else operations.NOT_ASKED_FOR
        ),
    )


async def _find(broker: Broker, version: int, wanted: Any, *, may_create: bool) -> Any:
    """The topic that a request names, or the entry of the answer that says why there is none."""
    by_id = wanted.topic_id != _ZERO_UUID
    try:
        if not by_id and may_create and wanted.name not in broker.topics.by_name:
            await _create(broker, wanted.name)
        return broker.topic(wanted.name, wanted.topic_id, by_id=by_id)
    except (EventLogError, RefusedError) as error:
        entry = kind("MetadataResponse", "MetadataResponseTopic")
        name = wanted.name if wanted.name is not None or (by_id and version >= _WITH_NULLABLE_NAMES) else ""
        return entry(error_code=code_of(error), name=name, topic_id=wanted.topic_id)


async def _create(broker: Broker, name: str) -> None:
    try:
        check_topic_name(name)
    except EventLogError as error:
        raise RefusedError(errors.INVALID_TOPIC_EXCEPTION, str(error)) from None
    with suppress(TopicExistsError):  # another client or process was faster
        await broker.in_thread(lambda: broker.log.create_topic(name, broker.settings.partitions))
    await broker.topics.refresh()


async def _encoded(broker: Broker, client: Client, version: int, found: list[Any], nodes: list[Node], request: Any) -> Encoded:
    """The topics and entries as bytes, since there may be very many."""
    topics = [each for each in found if isinstance(each, Topic)]
    await wait_for_turn(broker, client, sum(topic.partitions for topic in topics))
    await broker.load_epochs(topics)
    encode, pieces = encoder_of("MetadataResponse", "MetadataResponseTopic", version), list[Any]()
    async for each in in_turns(found):
        encode(_described(broker, client, version, each, nodes, request) if isinstance(each, Topic) else each, pieces)
    return Encoded(len(found), pieces)


def _described(broker: Broker, client: Client, version: int, topic: Topic, nodes: list[Node], request: Any) -> Any:
    numbers, epochs = range(topic.partitions), broker.epochs.of(topic)
    return kind("MetadataResponse", "MetadataResponseTopic")(
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=encoded_partitions(
            "MetadataResponse", "MetadataResponsePartition", version, topic, numbers, nodes, epochs,
            has_epoch=version >= _WITH_EPOCHS,
        ),
        topic_authorized_operations=(
            operations.allowed(client, Resource.TOPIC, topic.name)
            if request.include_topic_authorized_operations
            else operations.NOT_ASKED_FOR
        ),
    )  # fmt: skip
