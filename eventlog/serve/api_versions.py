"""ApiVersions: the APIs and versions that a client may use."""

from __future__ import annotations

import re
from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.offered import API_VERSIONS, APIS
from eventlog.serve.protocol.messages import kind

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
_VERSION_WITH_SOFTWARE = 3
_FEATURES = {"group.version": 1}  # 1: the consumer protocol of groups


async def answer_api_versions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The table of APIs. From version 3 on, a client names its software, with characters that are safe in a log."""
    if version >= _VERSION_WITH_SOFTWARE:
        told = (request.client_software_name, request.client_software_version)
        if not all(_SOFTWARE.fullmatch(each) for each in told):
            return _response(errors.INVALID_REQUEST)
    return _response(errors.NONE)


def refuse_version() -> Any:
    """The answer to an ApiVersions request of an unknown version; it has version 0, which every client can read."""
    return _response(errors.UNSUPPORTED_VERSION, [API_VERSIONS])


def _response(error_code: int, keys: list[int] | None = None) -> Any:
    entry = kind("ApiVersionsResponse", "ApiVersion")
    apis = [APIS[key] for key in (sorted(APIS) if keys is None else keys)]
    table = [entry(api_key=api.key, min_version=api.announced, max_version=api.versions[-1]) for api in apis]
    response = kind("ApiVersionsResponse")(error_code=error_code, api_keys=table, finalized_features_epoch=0)
    supported, finalized = (kind("ApiVersionsResponse", f"{name}FeatureKey") for name in ("Supported", "Finalized"))
    response.supported_features = [supported(name=name, min_version=1, max_version=level) for name, level in _FEATURES.items()]
    response.finalized_features = [
        finalized(name=name, min_version_level=level, max_version_level=level) for name, level in _FEATURES.items()
    ]
    return response
