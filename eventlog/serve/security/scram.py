"""SCRAM (RFC 5802, with the hashes of RFC 7677): a client shows that it knows a password, without sending it.

The server has no password, but two keys that are derived from it. Passwords and names are taken as UTF-8 as they are, as Kafka
does, without SASLprep.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

from eventlog.catalog.users import Credential
from eventlog.errors import InvalidArgumentError

MECHANISMS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}  # and the names of their hashes
ITERATIONS_MIN, ITERATIONS_MAX = 4096, 16_384  # as with Kafka

_SALT_BYTES = 24
_NONCE_BYTES = 24
_FIRST = re.compile(r"(?P<binding>[ny],(?:a=(?P<acts_as>[^,]*))?,)(?P<bare>n=(?P<name>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,.*)?)")
_FINAL = re.compile(r"(?P<unproved>c=(?P<binding>[^,]+),r=(?P<nonce>[^,]+)(?:,[^p].*)?),p=(?P<proof>[^,]+)")


class AuthenticationError(Exception):
    """The client has not proved who it is. The message says no more than the client may know."""


def new_credential(mechanism: str, password: str, iterations: int = ITERATIONS_MAX) -> Credential:
    """What checks a password. Raises `InvalidArgumentError` if the password is empty."""
    if not password:
        raise InvalidArgumentError("the password is empty")
    salt = secrets.token_bytes(_SALT_BYTES)
    return credential_of(mechanism, _salted(mechanism, password, salt, iterations), salt, iterations)


def credential_of(mechanism: str, salted_password: bytes, salt: bytes, iterations: int) -> Credential:
    """What checks a password that was salted elsewhere."""
    hash_name = MECHANISMS[mechanism]
    client_key = hmac.digest(salted_password, b"Client Key", hash_name)
    server_key = hmac.digest(salted_password, b"Server Key", hash_name)
    return Credential(salt, iterations, hashlib.new(hash_name, client_key).digest(), server_key)


def unknown_credential(mechanism: str, name: str, secret: bytes) -> Credential:
    """What no password matches; its salt is always the same for a name, as that of a user is."""
    seed = hmac.digest(secret, f"{mechanism} {name}".encode(), MECHANISMS[mechanism])
    keys = [hmac.digest(secret, seed + purpose, MECHANISMS[mechanism]) for purpose in (b"stored", b"server")]
    return Credential(seed[:_SALT_BYTES], ITERATIONS_MAX, *keys)


def matches(mechanism: str, credential: Credential, password: str) -> bool:
    """Is this the password? It takes milliseconds, by design."""
    salted = _salted(mechanism, password, credential.salt, credential.iterations)
    found = credential_of(mechanism, salted, credential.salt, credential.iterations)
    return hmac.compare_digest(found.stored_key, credential.stored_key)


def _salted(mechanism: str, password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(MECHANISMS[mechanism], password.encode(), salt, iterations)


class ScramExchange:
    """The server's side of one exchange: `first`, and then `final`."""

    def __init__(self, mechanism: str, find: Callable[[str], Credential]) -> None:
        """`find` returns what checks the password of a name; for an unknown name, what no password matches."""
        self._mechanism = mechanism
        self._find = find
        self.name = ""
        self.credential: Credential | None = None
        self._binding = self._nonce = self._started = ""

    def first(self, message: bytes) -> bytes:
        """The answer to the client's first message: a nonce, the salt and the number of iterations.

        Raises `AuthenticationError`."""
        match = _matched(_FIRST, message)
        name = match["name"]
        if re.search("=(?!2C|3D)", name):
            raise AuthenticationError("the name is not written as SCRAM wants it")
        self.name = name.replace("=2C", ",").replace("=3D", "=")
        if match["acts_as"] and match["acts_as"] != name:
            raise AuthenticationError("a client cannot act as another user")
        self.credential = self._find(self.name)
        self._binding = base64.b64encode(match["binding"].encode()).decode()
        self._nonce = match["nonce"] + secrets.token_urlsafe(_NONCE_BYTES)
        salt = base64.b64encode(self.credential.salt).decode()
        answer = f"r={self._nonce},s={salt},i={self.credential.iterations}"
        self._started = f"{match['bare']},{answer}"
        return answer.encode()

    def final(self, message: bytes) -> bytes:
        """The answer to the client's proof: that of the server. Raises `AuthenticationError`."""
        match = _matched(_FINAL, message)
        assert self.credential is not None
        hash_name = MECHANISMS[self._mechanism]
        proof = _decoded(match["proof"])
        signed = f"{self._started},{match['unproved']}".encode()
        signature = hmac.digest(self.credential.stored_key, signed, hash_name)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
        is_known = hmac.compare_digest(hashlib.new(hash_name, client_key).digest(), self.credential.stored_key)
        is_same = match["binding"] == self._binding and hmac.compare_digest(match["nonce"].encode(), self._nonce.encode())
        if not (is_known and is_same and len(proof) == len(signature)):
            raise AuthenticationError("invalid credentials")
        return b"v=" + base64.b64encode(hmac.digest(self.credential.server_key, signed, hash_name))


def _matched(pattern: re.Pattern[str], message: bytes) -> re.Match[str]:
    try:
        match = pattern.fullmatch(message.decode())
    except UnicodeDecodeError:
        match = None
    if match is None:
        raise AuthenticationError("the message is not one of SCRAM, or asks for channel binding")
    return match


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AuthenticationError("the proof is not in base64") from None
