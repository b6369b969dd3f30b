"""FindCoordinator: the node that coordinates a group or a transaction."""

from __future__ import annotations

from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.errors import RefusedError
from eventlog.serve.protocol.messages import kind

_GROUP, _TRANSACTION = 0, 1
_WITH_KEYS = 4
_KEY_TYPES = {_GROUP, _TRANSACTION}
_NOWHERE = -1


async def answer_find_coordinator(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The node for each key. There are none for share groups."""
    entry = kind("FindCoordinatorResponse", "Coordinator")
    keys = request.coordinator_keys if version >= _WITH_KEYS else [request.key]
    found = []
    for key in keys:
        coordinator = entry(key=key, node_id=_NOWHERE, port=_NOWHERE, error_message=None)
        try:
            if request.key_type not in _KEY_TYPES:
                raise RefusedError(errors.COORDINATOR_NOT_AVAILABLE, f"there are no coordinators of type {request.key_type}")
            if request.key_type == _GROUP:
                check_group_id(key)
            coordinator.node_id, coordinator.host, coordinator.port = broker.node_of_key(key, client)
        except RefusedError as error:
            coordinator.error_code, coordinator.error_message = error.code, str(error)
        found.append(coordinator)
    if version >= _WITH_KEYS:
        return kind("FindCoordinatorResponse")(coordinators=found)
    (only,) = found
    return kind("FindCoordinatorResponse")(
        error_code=only.error_code, error_message=only.error_message, node_id=only.node_id, host=only.host, port=only.port
    )
