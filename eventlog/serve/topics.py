"""CreateTopics and DeleteTopics."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eventlog.errors import EventLogError, InvalidArgumentError, InvalidTypeError, TopicExistsError
from eventlog.options import TopicConfig, check_partition_count, check_topic_name
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import topic_id
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind

_DEFAULT = -1
_WITH_NAMES_OR_IDS = 6
_ZERO_UUID = bytes(16)


async def answer_create_topics(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Create topics, or only check whether they could be created. Each partition has one replica."""
    await broker.topics.refresh()
    counts = Counter(topic.name for topic in request.topics)
    results = []
    for topic in request.topics:
        result = kind("CreateTopicsResponse", "CreatableTopicResult")(name=topic.name)
        try:
            if counts[topic.name] > 1:
                raise RefusedError(errors.INVALID_REQUEST, f"the request has the topic {topic.name!r} more than once")
            await _create(broker, topic, result, validate_only=request.validate_only)
        except (EventLogError, RefusedError) as error:
            result.error_code, result.error_message = code_of(error), str(error)
        results.append(result)
    return kind("CreateTopicsResponse")(topics=results)


async def _create(broker: Broker, topic: Any, result: Any, *, validate_only: bool) -> None:
    partitions, config = _checked(topic, broker.settings.partitions)
    if topic.name in broker.topics.by_name:
        raise TopicExistsError(f"topic {topic.name!r} exists already")
    result.num_partitions, result.replication_factor, result.configs = partitions, 1, []
    if not validate_only:
        made = await broker.in_thread(lambda: broker.log.create_topic(topic.name, partitions, config))
        result.topic_id = topic_id(made)


def _checked(topic: Any, default_partitions: int) -> tuple[int, dict[str, str]]:
    try:
        check_topic_name(topic.name)
    except EventLogError as error:
        raise RefusedError(errors.INVALID_TOPIC_EXCEPTION, str(error)) from None
    if topic.assignments:
        raise RefusedError(errors.INVALID_REPLICA_ASSIGNMENT, "there is one broker: leave the assignment of replicas out")
    if topic.replication_factor not in (_DEFAULT, 1):
        raise RefusedError(errors.INVALID_REPLICATION_FACTOR, f"there is one broker, and not {topic.replication_factor}")
    try:
        partitions = check_partition_count(default_partitions if topic.num_partitions == _DEFAULT else topic.num_partitions)
    except InvalidArgumentError as error:
        raise RefusedError(errors.INVALID_PARTITIONS, str(error)) from None
    config = {each.name: each.value for each in topic.configs}
    try:
        TopicConfig.parse(config)
    except (InvalidArgumentError, InvalidTypeError) as error:
        raise RefusedError(errors.INVALID_CONFIG, str(error)) from None
    return partitions, config


async def answer_delete_topics(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Delete topics by name, or from version 6 on by id."""
    await broker.topics.refresh()
    if version < _WITH_NAMES_OR_IDS:
        wanted = [(name, _ZERO_UUID) for name in request.topic_names]
    else:
        wanted = [(each.name, each.topic_id) for each in request.topics]
    results = []
    for name, identifier in wanted:
        result = kind("DeleteTopicsResponse", "DeletableTopicResult")(name=name, topic_id=identifier)
        try:
            topic = broker.topic(name, identifier, by_id=identifier != _ZERO_UUID)
            result.name, result.topic_id = topic.name, topic.id
            await broker.in_thread(lambda name=topic.name: broker.log.delete_topic(name))  # type: ignore[misc]
        except (EventLogError, RefusedError) as error:
            result.error_code, result.error_message = code_of(error), str(error)
        results.append(result)
    return kind("DeleteTopicsResponse")(responses=results)
