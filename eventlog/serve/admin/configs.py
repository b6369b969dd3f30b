"""DescribeConfigs and ListConfigResources: the settings of topics and of the servers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from eventlog.errors import EventLogError
from eventlog.options import TopicConfig, check_topic_name
from eventlog.serve import errors
from eventlog.serve.admin.broker_settings import BrokerSetting, broker_settings, group_settings
from eventlog.serve.admin.topic_settings import DESCRIPTIONS, documentation
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.lists import encoded_items, wait_for_turn
from eventlog.serve.nodes import Node
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import encoder_of, kind
from eventlog.serve.turns import in_turns

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32  # types of resources
_OF_TOPIC, _OF_BROKER, _DEFAULT = 1, 4, 5  # sources of values
_WITH_TYPES = 1  # the version from which on a client says which types of resources it wants


async def answer_describe_configs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The settings of the resources, or those that the request names."""
    await broker.topics.refresh()
    message, inside = "DescribeConfigsResponse", "DescribeConfigsResult"
    encode, pieces = encoder_of(message, inside, version), list[Any]()
    resources = {_identity(wanted): wanted for wanted in request.resources}  # one that is named twice is described once
    await wait_for_turn(broker, client, len(resources) * len(DESCRIPTIONS))
    async for wanted in in_turns(resources.values()):
        result = kind(message, inside)(resource_type=wanted.resource_type, resource_name=wanted.resource_name, configs=[])
        with noted_in(result):
            names = set(wanted.configuration_keys or ())
            found = await _settings(broker, client, wanted, request)
            result.configs = [config for config in found if not names or config.name in names]
        described: list[Any] = []
        encode(result, described)
        pieces.append(b"".join(described))  # an object for each setting of each topic would take much more memory
    return kind(message)(results=Encoded(len(pieces), pieces))


def _identity(wanted: Any) -> tuple[int, str, tuple[str, ...]]:
    return wanted.resource_type, wanted.resource_name, tuple(wanted.configuration_keys or ())


async def _settings(broker: Broker, client: Client, wanted: Any, request: Any) -> list[Any]:
    name = wanted.resource_name
    if wanted.resource_type == TOPIC:
        existing_topic(broker, name)
        topic = await broker.in_thread(lambda: broker.log.topic(name))
        return [_topic_setting(setting, value, topic.settings(), request) for setting, value in _in_order(topic.settings())]
    if wanted.resource_type == BROKER:
        if not name:  # what a client has set for all brokers
            return []
        return _read_only(broker_settings(broker, client, node_named(broker, client, name)), request)
    if wanted.resource_type == LOGGER:
        node_named(broker, client, name)
        return []
    if wanted.resource_type in (CLIENT_METRICS, GROUP):
        if not name:
            raise RefusedError(errors.INVALID_REQUEST, "the name of the resource is empty")
        return _read_only(group_settings(broker), request) if wanted.resource_type == GROUP else []
    raise RefusedError(errors.INVALID_REQUEST, f"there are no resources of type {wanted.resource_type}")


def existing_topic(broker: Broker, name: str) -> None:
    """Raise `RefusedError` unless there is a topic of this name."""
    try:
        check_topic_name(name)
    except EventLogError as error:
        raise RefusedError(errors.INVALID_TOPIC_EXCEPTION, str(error)) from None
    broker.topic(name, b"", by_id=False)

def node_named(broker: Broker, client: Client, name: str) -> Node:
    """The server whose number is `name`. Raises `RefusedError`."""
    nodes = {str(node.id): node for node in broker.nodes(client)}
    if name not in nodes:
        raise RefusedError(errors.INVALID_REQUEST, f"there is no broker {name!r}; there is {', '.join(nodes)}")
    return nodes[name]


def _in_order(settings: TopicConfig) -> list[tuple[str, Any]]:
    known = settings.of_kafka().items()
    return sorted((name, value) for name, value in known if name in DESCRIPTIONS)


def _topic_setting(name: str, value: Any, settings: TopicConfig, request: Any) -> Any:
    described = DESCRIPTIONS[name]
    is_given = name in settings.given
    default = str(TopicConfig({}).of_kafka()[name])
    synonyms = [(name, str(value), _OF_TOPIC)] if is_given else []
    synonyms += [(described.broker_name, default, _DEFAULT)] if described.broker_name else []
    return _setting(
        request, synonyms, name=name, value=str(value), config_source=_OF_TOPIC if is_given else _DEFAULT,
        config_type=described.type, documentation=documentation(name),
    )  # fmt: skip


def _read_only(settings: list[BrokerSetting], request: Any) -> list[Any]:
    found = []
    for setting in settings:
        source = _OF_BROKER if setting.is_given else _DEFAULT
        entry = _setting(
            request, [(setting.name, setting.value, source)], name=setting.name, value=setting.value, config_source=source,
            config_type=setting.type, documentation=setting.documentation, read_only=True,
        )  # fmt: skip
        found.append(entry)
    return found


def _setting(request: Any, synonyms: list[tuple[str, str, int]], **fields: Any) -> Any:
    setting = kind("DescribeConfigsResponse", "DescribeConfigsResourceResult")(**fields)
    if not request.include_documentation:
        setting.documentation = None
    if request.include_synonyms:
        synonym = kind("DescribeConfigsResponse", "DescribeConfigsSynonym")
        setting.synonyms = [synonym(name=name, value=value, source=source) for name, value, source in synonyms]
    return setting


def created_settings(version: int, config: dict[str, str]) -> Encoded:
    """The settings of a new topic, for the answer to its creator."""
    return _created_settings(version, tuple(sorted(config.items())))


@lru_cache(maxsize=64)
def _created_settings(version: int, config: tuple[tuple[str, str], ...]) -> Encoded:
    message, inside = "CreateTopicsResponse", "CreatableTopicConfigs"
    settings, entry = TopicConfig.parse(dict(config)), kind(message, inside)
    entries = [
        entry(name=name, value=str(value), config_source=_OF_TOPIC if name in settings.given else _DEFAULT)
        for name, value in _in_order(settings)
    ]
    return encoded_items(message, inside, version, entries)


async def answer_list_config_resources(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The topics and servers, which have settings. Before version 1 only subscriptions to metrics of clients are asked for, and
    there are none."""
    await broker.topics.refresh()
    known = {TOPIC: list(broker.topics.by_name), BROKER: [str(node.id) for node in broker.nodes(client)]}
    known |= {LOGGER: known[BROKER], CLIENT_METRICS: [], GROUP: []}
    wanted = set(request.resource_types or known) if version >= _WITH_TYPES else {CLIENT_METRICS}
    if not wanted <= known.keys():
        return kind("ListConfigResourcesResponse")(error_code=errors.UNSUPPORTED_VERSION)
    entry = kind("ListConfigResourcesResponse", "ConfigResource")
    resources = [entry(resource_name=name, resource_type=each) for each in sorted(wanted) for name in known[each]]
    return kind("ListConfigResourcesResponse")(config_resources=resources)
