"""ACLs and quotas, of which there are none."""

from __future__ import annotations

from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.protocol.messages import kind

_NO_AUTHORIZER: dict[str, Any] = {
    "error_code": errors.SECURITY_DISABLED,
    "error_message": "there are no access control lists: no authorizer is configured",
}


async def answer_describe_acls(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """As a broker without an authorizer."""
    return kind("DescribeAclsResponse")(**_NO_AUTHORIZER)


async def answer_create_acls(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """As a broker without an authorizer: each creation is refused."""
    result = kind("CreateAclsResponse", "AclCreationResult")(**_NO_AUTHORIZER)
    return kind("CreateAclsResponse")(results=[result] * len(request.creations))


async def answer_delete_acls(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """As a broker without an authorizer: each filter is refused."""
    result = kind("DeleteAclsResponse", "DeleteAclsFilterResult")(**_NO_AUTHORIZER)
    return kind("DeleteAclsResponse")(filter_results=[result] * len(request.filters))


async def answer_describe_client_quotas(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """No client has a quota."""
    return kind("DescribeClientQuotasResponse")(error_message=None, entries=[])
