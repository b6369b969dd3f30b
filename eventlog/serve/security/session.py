"""The session of a connection whose client has to authenticate: who the client is, and until when.

Sources: KIP-43 (SASL), KIP-152 (SaslAuthenticate), KIP-368 (sessions that end unless the client authenticates again).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from eventlog.catalog.users import Credential, User
from eventlog.serve import offered
from eventlog.serve.errors import DisconnectError
from eventlog.serve.security import scram
from eventlog.serve.security.scram import AuthenticationError, ScramExchange
from eventlog.serve.security.users import Users

PLAIN = "PLAIN"
_PLAIN_CHECKED_BY = "SCRAM-SHA-512"
_TOKEN_BYTES_MAX = 64 * 1024
_BEFORE_AUTHENTICATION = frozenset({offered.API_VERSIONS, offered.SASL_HANDSHAKE, offered.SASL_AUTHENTICATE})
_SASL = frozenset({offered.SASL_HANDSHAKE, offered.SASL_AUTHENTICATE})


class Reply(NamedTuple):
    """What the client gets for its token, and for how long the session then lasts; 0: no end, or not there yet."""

    token: bytes
    lifetime_ms: int = 0


class Session:
    """One connection's. It begins without a user."""

    def __init__(
        self, users: Users, *, is_encrypted: bool, seconds_max: float | None, authenticated: Callable[[], None]
    ) -> None:
        """A session lasts `seconds_max`, unless the client authenticates again; None: as long as the connection.
        `authenticated` is called when the client has authenticated."""
        self.mechanisms = [*scram.MECHANISMS, *([PLAIN] if is_encrypted else [])]
        self.takes_tokens = False  # the next frame is a token without a header (SaslHandshake of version 0)
        self.user: User | None = None
        self._users = users
        self._authenticated = authenticated
        self._seconds_max = seconds_max
        self._ends_at = float("inf")
        self._mechanism = ""
        self._exchange: ScramExchange | None = None
        self._has_first = False

    async def check(self, api_key: int) -> None:
        """May the client ask this now? The user is then as the catalog has it. Raises `DisconnectError`."""
        if self.user is None:
            if api_key not in _BEFORE_AUTHENTICATION:
                raise DisconnectError(f"it asks for API {api_key} before it is authenticated")
            return
        await self._users.refresh()
        found = self._users.find(self.user.name)
        if found is None or found.credentials_by != self.user.credentials_by:
            raise DisconnectError(f"user {self.user.name!r} was deleted, or has another password")
        self.user = found
        if api_key not in _SASL and asyncio.get_running_loop().time() >= self._ends_at:
            raise DisconnectError(f"the session of user {self.user.name!r} has ended, and it has not authenticated again")

    def begin(self, mechanism: str, *, takes_tokens: bool) -> bool:
        """Begin an exchange. False if the mechanism is not one of `mechanisms`."""
        if mechanism not in self.mechanisms:
            return False
        self._mechanism = mechanism
        self._has_first = False
        self._exchange = None if mechanism == PLAIN else ScramExchange(mechanism, self._credential)
        self.takes_tokens = takes_tokens
        return True

    @property
    def has_begun(self) -> bool:
        """Does the client have to send a token next?"""
        return bool(self._mechanism)

    def _credential(self, name: str) -> Credential:
        return self._users.credential(self._mechanism, name)

    async def reply(self, token: bytes) -> Reply:
        """Take the client's next token. Raises `AuthenticationError`."""
        await self._users.refresh()
        if len(token) > _TOKEN_BYTES_MAX:
            raise AuthenticationError("the token is too long")
        if self._exchange is None:
            return self._accept(await self._check_plain(token), b"")
        if not self._has_first:
            self._has_first = True
            return Reply(self._exchange.first(token))
        answer = self._exchange.final(token)
        user = self._users.find(self._exchange.name)
        if user is None or user.credentials.get(self._mechanism) != self._exchange.credential:
            raise AuthenticationError("invalid credentials")  # changed meanwhile
        return self._accept(user, answer)

    async def _check_plain(self, token: bytes) -> User:
        try:
            acts_as, name, password = token.decode().split("\0")
        except ValueError:
            raise AuthenticationError("the message is not one of PLAIN") from None
        if acts_as and acts_as != name:
            raise AuthenticationError("a client cannot act as another user")
        credential = self._users.credential(_PLAIN_CHECKED_BY, name)
        is_right = await self._users.matches(_PLAIN_CHECKED_BY, credential, password)
        user = self._users.find(name)
        if not is_right or user is None or user.credentials.get(_PLAIN_CHECKED_BY) != credential:
            raise AuthenticationError("invalid credentials")
        return user

    def _accept(self, user: User, token: bytes) -> Reply:
        if self.user is not None and self.user.name != user.name:
            raise AuthenticationError("a connection cannot change its user")
        self.user = user
        self._mechanism, self._exchange = "", None
        self.takes_tokens = False
        self._authenticated()
        if self._seconds_max is None:
            return Reply(token)
        self._ends_at = asyncio.get_running_loop().time() + self._seconds_max
        return Reply(token, int(self._seconds_max * 1000))
