"""SaslHandshake and SaslAuthenticate: a client says how it wants to authenticate, and does so."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import DisconnectError
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.scram import AuthenticationError
from eventlog.serve.security.session import Session

_WITHOUT_HEADERS = 0  # the version of SaslHandshake after which tokens are sent as they are
_FAILED_SECONDS = 0.1  # Kafka's connection.failed.authentication.delay.ms: guessing takes its time

log = logging.getLogger("eventlog.serve")


async def answer_sasl_handshake(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The mechanisms; and if the client has chosen one of them, its next message begins the exchange."""
    response = kind("SaslHandshakeResponse")
    if client.session is None:
        return response(error_code=errors.ILLEGAL_SASL_STATE)
    if not client.session.begin(request.mechanism, takes_tokens=version == _WITHOUT_HEADERS):
        client.end()
        return response(error_code=errors.UNSUPPORTED_SASL_MECHANISM, mechanisms=client.session.mechanisms)
    return response(mechanisms=client.session.mechanisms)


async def answer_sasl_authenticate(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The answer to a token. A client that fails to authenticate gets it late, and is disconnected then."""
    response = kind("SaslAuthenticateResponse")
    if client.session is None or not client.session.has_begun:
        client.end()
        return response(error_code=errors.ILLEGAL_SASL_STATE, error_message="SaslHandshake comes first")
    try:
        reply = await client.session.reply(request.auth_bytes)
    except AuthenticationError as error:
        await _fail(client, error)
        client.end()
        return response(error_code=errors.SASL_AUTHENTICATION_FAILED, error_message=f"authentication failed: {error}")
    return response(auth_bytes=reply.token, session_lifetime_ms=reply.lifetime_ms)


async def answer_token(session: Session, client: Client, frame: memoryview) -> list[Any]:
    """The frame that answers a token without a header. Raises `DisconnectError` if the client fails to authenticate."""
    try:
        reply = await session.reply(bytes(frame))
    except AuthenticationError as error:
        await _fail(client, error)
        raise DisconnectError("authentication failed") from None
    return [struct.pack(">i", len(reply.token)) + reply.token]


async def _fail(client: Client, error: AuthenticationError) -> None:
    log.warning("%s: authentication failed: %s", client.address, error)
    await asyncio.sleep(_FAILED_SECONDS)
