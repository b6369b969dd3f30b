"""CreateTopics and DeleteTopics."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eventlog.errors import EventLogError, InvalidArgumentError, InvalidTypeError, TopicExistsError
from eventlog.options import TopicConfig, check_partition_count, check_topic_name
from eventlog.serve import errors
from eventlog.serve.admin.assignments import check_assignments, check_replication_factor
from eventlog.serve.admin.configs import created_settings
from eventlog.serve.admin.topic_settings import DESCRIPTIONS
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import topic_id
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.lists import wait_for_turn
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import encoder_of, kind
from eventlog.serve.turns import in_turns

_DEFAULT = -1
_WITH_NAMES_OR_IDS = 6
_ZERO_UUID = bytes(16)


async def answer_create_topics(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Create topics, or only check whether they could be created. Each partition has one replica."""
    await broker.topics.refresh()
    message, inside = "CreateTopicsResponse", "CreatableTopicResult"
    counts = Counter(topic.name for topic in request.topics)
    encode, pieces = encoder_of(message, inside, version), list[Any]()
    await wait_for_turn(broker, client, len(request.topics) * len(DESCRIPTIONS))
    async for topic in in_turns(request.topics):
        result = kind(message, inside)(name=topic.name)
        with noted_in(result):
            if counts[topic.name] > 1:
                raise RefusedError(errors.INVALID_REQUEST, f"the request has the topic {topic.name!r} more than once")
            await _create(broker, client, version, topic, result, validate_only=request.validate_only)
        described: list[Any] = []
        encode(result, described)
        pieces.append(b"".join(described))  # an object for each setting of each topic would take much more memory
    return kind(message)(topics=Encoded(len(pieces), pieces))


async def _create(
    broker: Broker, client: Client, version: int, topic: Any, result: Any, *, validate_only: bool
) -> None:
    partitions, config = _checked(broker, client, topic)
    if topic.name in broker.topics.by_name:
        raise TopicExistsError(f"topic {topic.name!r} exists already")
    if not validate_only:
        made = await broker.in_thread(lambda: broker.log.create_topic(topic.name, partitions, config))
        result.topic_id = topic_id(made)
    result.num_partitions, result.replication_factor, result.configs = partitions, 1, created_settings(version, config)


def _checked(broker: Broker, client: Client, topic: Any) -> tuple[int, dict[str, str]]:
    try:
        check_topic_name(topic.name)
    except EventLogError as error:
        raise RefusedError(errors.INVALID_TOPIC_EXCEPTION, str(error)) from None
    partitions = _checked_partitions(broker, client, topic)
    config = {each.name: each.value for each in topic.configs}
    try:
        if len(config) < len(topic.configs):
            raise InvalidArgumentError("a setting is given more than once")
        TopicConfig.parse(config)
    except (InvalidArgumentError, InvalidTypeError) as error:
        raise RefusedError(errors.INVALID_CONFIG, str(error)) from None
    return partitions, config


def _checked_partitions(broker: Broker, client: Client, topic: Any) -> int:
    if topic.assignments:
        if topic.num_partitions != _DEFAULT or topic.replication_factor != _DEFAULT:
            raise RefusedError(
                errors.INVALID_REQUEST, "replicas are assigned: then the numbers of partitions and of replicas must be -1"
            )
        partitions = check_assignments(broker, client, topic.assignments)
    else:
        check_replication_factor(broker, topic.replication_factor)
        partitions = broker.settings.partitions if topic.num_partitions == _DEFAULT else topic.num_partitions
    try:
        return check_partition_count(partitions)
    except InvalidArgumentError as error:
        raise RefusedError(errors.INVALID_PARTITIONS, str(error)) from None


async def answer_delete_topics(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Delete topics by name, or from version 6 on by id."""
    await broker.topics.refresh()
    if version < _WITH_NAMES_OR_IDS:
        wanted = [(name, _ZERO_UUID) for name in request.topic_names]
    else:
        wanted = [(each.name, each.topic_id) for each in request.topics]
    results = []
    async for name, identifier in in_turns(wanted):
        result = kind("DeleteTopicsResponse", "DeletableTopicResult")(name=name, topic_id=identifier)
        with noted_in(result):
            topic = broker.topic(name, identifier, by_id=identifier != _ZERO_UUID)
            result.name, result.topic_id = topic.name, topic.id
            await broker.in_thread(lambda name=topic.name: broker.log.delete_topic(name))  # type: ignore[misc]
        results.append(result)
    return kind("DeleteTopicsResponse")(responses=results)
