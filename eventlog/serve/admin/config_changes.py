"""AlterConfigs and IncrementalAlterConfigs: settings of topics. Those of the servers are read-only.

Source of the rules: Kafka's ConfigAdminManager and ConfigurationControlManager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.log import alter_topic
from eventlog.options import Setting, TopicConfig, check_setting_length, parse_changes, with_changes
from eventlog.serve import errors
from eventlog.serve.admin.configs import BROKER, TOPIC, existing_topic, node_named
from eventlog.serve.admin.topic_settings import DESCRIPTIONS, LIST
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.protocol.messages import kind
from eventlog.serve.turns import in_turns

_SET, _DELETE, _APPEND, _SUBTRACT = range(4)

_Change = Callable[[Mapping[str, Setting]], dict[str, Setting]]


async def answer_alter_configs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Give topics exactly these settings; all others go back to their defaults."""
    return await _altered(broker, client, request, "AlterConfigsResponse", _replaced)


async def answer_incremental_alter_configs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Set, delete, or append to and subtract from, single settings of topics."""
    return await _altered(broker, client, request, "IncrementalAlterConfigsResponse", _changed)


async def _altered(
    broker: Broker, client: Client, request: Any, name: str, change: Callable[[list[Any], Mapping[str, Setting]], Any]
) -> Any:
    await broker.topics.refresh()
    counts = Counter((resource.resource_type, resource.resource_name) for resource in request.resources)
    responses = []
    async for resource in in_turns(request.resources):
        key = resource.resource_type, resource.resource_name
        entry = kind(name, "AlterConfigsResourceResponse")
        response = entry(resource_type=key[0], resource_name=key[1], error_message=None)
        with noted_in(response):
            if counts[key] > 1:
                raise RefusedError(errors.INVALID_REQUEST, f"the request has the resource {key[1]!r} more than once")
            _check_names(resource)
            if key[0] == BROKER:
                _refuse_broker_settings(broker, client, resource)
            else:
                _check_topic(broker, resource)
                await _alter(broker, key[1], partial(change, resource.configs), validate_only=request.validate_only)
        responses.append(response)
    return kind(name)(responses=responses)


async def _alter(broker: Broker, topic: str, change: _Change, *, validate_only: bool) -> None:
    store = broker.log.store
    try:
        if validate_only:
            await broker.in_thread(lambda: change(store.catalog.topics.find(topic).config))
        else:
            await broker.in_thread(lambda: alter_topic(store, topic, None, change))
    except (InvalidArgumentError, InvalidTypeError) as error:
        raise RefusedError(errors.INVALID_CONFIG, str(error)) from None


def _check_names(resource: Any) -> None:
    names = Counter(config.name for config in resource.configs)
    for name, count in names.items():
        if count > 1:
            raise RefusedError(errors.INVALID_REQUEST, f"the setting {name!r} is given more than once")


def _refuse_broker_settings(broker: Broker, client: Client, resource: Any) -> None:
    """Raise `RefusedError` unless settings are only to be deleted, as tools do that have moved partitions: no client has set
    any."""
    if resource.resource_name:
        node_named(broker, client, resource.resource_name)
    if not all(getattr(config, "config_operation", _SET) == _DELETE for config in resource.configs):
        raise RefusedError(errors.INVALID_REQUEST, "the settings of a broker cannot be changed: start the server with others")


def _check_topic(broker: Broker, resource: Any) -> None:
    if resource.resource_type != TOPIC:
        raise RefusedError(errors.INVALID_REQUEST, f"resources of type {resource.resource_type} have no settings to change")
    existing_topic(broker, resource.resource_name)


def _replaced(configs: list[Any], given: Mapping[str, Setting]) -> dict[str, Setting]:
    for config in configs:
        _check_value(config)
    return TopicConfig.parse({config.name: config.value for config in configs}).given


def _changed(configs: list[Any], given: Mapping[str, Setting]) -> dict[str, Setting]:
    return with_changes(given, parse_changes({config.name: _new_value(config, given) for config in configs}))


def _check_value(config: Any) -> None:
    if config.value is None:
        raise RefusedError(errors.INVALID_REQUEST, f"{config.name!r} is given without a value")


def _new_value(config: Any, given: Mapping[str, Setting]) -> str | None:
    operation = config.config_operation
    if operation == _DELETE:
        return None
    _check_value(config)
    check_setting_length(config.name, config.value)
    value: str = config.value
    if operation == _SET:
        return value
    if operation not in (_APPEND, _SUBTRACT):
        raise RefusedError(errors.INVALID_REQUEST, f"there is no operation {operation} on a setting")
    if config.name in DESCRIPTIONS and DESCRIPTIONS[config.name].type != LIST:
        raise RefusedError(errors.INVALID_CONFIG, f"{config.name} is not a list, to which values could be added")
    before = TopicConfig(dict(given)).text(config.name).split(",") if config.name in DESCRIPTIONS else []
    items = [item for item in before if item]
    named = [item.strip() for item in value.split(",")]
    if operation == _APPEND:
        items += [item for item in dict.fromkeys(named) if item not in items]
    else:
        items = [item for item in items if item not in named]
    return ",".join(items)
