"""Users of the server in the catalog: one entry for each, the name as key, JSON as value.

An entry has no password, but what SCRAM needs to check one (RFC 5802): it cannot be used to log in. Beside the users there is a
secret, from which unknown names get salts that look like those of users.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from eventlog.catalog.changes import note_change
from eventlog.catalog.environment import USERS, CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, InvalidArgumentError

ROLES = ("reader", "writer", "admin")  # each may do what those before it may
NAME_BYTES_MAX = 255
ALL_NAMES = ("",)  # as prefixes

_SECRET_KEY = b"\0secret"  # names have no control characters
_SECRET_BYTES = 32


class Credential(NamedTuple):
    """What checks a password by SCRAM: the salt, the number of iterations, and two keys derived from the password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


class User(NamedTuple):
    """A user: its role, and the prefixes of the topics, and of the groups and transactional ids, that it may use.

    `credentials` has one for each mechanism. `credentials_by` is the number of the transaction that has set them."""

    name: str
    role: str
    topic_prefixes: tuple[str, ...] = ALL_NAMES
    group_prefixes: tuple[str, ...] = ALL_NAMES
    credentials: Mapping[str, Credential] = MappingProxyType({})
    created_ms: int = 0
    credentials_by: int = 0


def check_user_name(name: str) -> str:
    """Raise `InvalidArgumentError` unless a user may have this name."""
    if not name or not name.isprintable() or len(name.encode()) > NAME_BYTES_MAX:
        raise InvalidArgumentError(f"{name!r} is not a user's name: it has 1 to {NAME_BYTES_MAX} bytes that can be printed")
    return name


def _encode(user: User) -> bytes:
    credentials = {
        mechanism: [found.salt.hex(), found.iterations, found.stored_key.hex(), found.server_key.hex()]
        for mechanism, found in user.credentials.items()
    }
    fields = user._asdict() | {"credentials": credentials}
    del fields["name"]
    return with_checksum(user.name.encode(), json.dumps(fields, sort_keys=True).encode())


def _decode(key: bytes, value: bytes) -> User:
    content = checked(key, value)
    try:
        fields = json.loads(content)
        credentials = {
            mechanism: Credential(bytes.fromhex(salt), iterations, bytes.fromhex(stored_key), bytes.fromhex(server_key))
            for mechanism, (salt, iterations, stored_key, server_key) in fields["credentials"].items()
        }
        topic_prefixes, group_prefixes = tuple(fields["topic_prefixes"]), tuple(fields["group_prefixes"])
        return User(
            key.decode(), fields["role"], topic_prefixes, group_prefixes, credentials, fields["created_ms"],
            fields["credentials_by"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise EventLogError(f"the catalog's entry for user {key!r} is damaged: {error}") from error


class UserCatalog:
    """Adds, alters, deletes and lists users."""

    def __init__(self, environment: CatalogEnvironment) -> None:
        self._environment = environment

    def add(self, user: User) -> None:
        """Add a user, durably. Raises `InvalidArgumentError`, also if there is one of this name."""
        check_user_name(user.name)
        with self._environment.transaction(USERS, write=True) as transaction:
            user = user._replace(created_ms=now_ms(), credentials_by=int(transaction.id()))
            if not transaction.put(user.name.encode(), _encode(user), overwrite=False):
                raise InvalidArgumentError(f"user {user.name!r} exists already")
            note_change(transaction, self._environment)

    def alter(self, name: str, change: Callable[[User], User]) -> User:
        """Change a user, durably; returns it as it is now. Raises `InvalidArgumentError` if there is none of this name."""
        with self._environment.transaction(USERS, write=True) as transaction:
            value = transaction.get(check_user_name(name).encode())
            if value is None:
                raise InvalidArgumentError(f"there is no user {name!r}")
            before = _decode(name.encode(), bytes(value))
            after = change(before)
            if after.credentials != before.credentials:
                after = after._replace(credentials_by=int(transaction.id()))
            transaction.put(name.encode(), _encode(after))
            note_change(transaction, self._environment)
        return after

    def delete(self, name: str) -> None:
        """Delete a user, durably. Raises `InvalidArgumentError` if there is none of this name."""
        with self._environment.transaction(USERS, write=True) as transaction:
            if not transaction.delete(check_user_name(name).encode()):
                raise InvalidArgumentError(f"there is no user {name!r}")
            note_change(transaction, self._environment)

    def find(self, name: str) -> User:
        """A user by its name. Raises `InvalidArgumentError` if there is none of this name."""
        with self._environment.transaction(USERS) as transaction:
            value = transaction.get(check_user_name(name).encode())
            if value is None:
                raise InvalidArgumentError(f"there is no user {name!r}")
            return _decode(name.encode(), bytes(value))

    def all(self) -> list[User]:
        """All users, sorted by name."""
        with self._environment.transaction(USERS) as transaction:
            entries = [(bytes(key), bytes(value)) for key, value in transaction.cursor()]
        return [_decode(key, value) for key, value in entries if key != _SECRET_KEY]

    def secret(self) -> bytes:
        """The secret for the salts of unknown names; it is made when it is first asked for, and stays."""
        with self._environment.transaction(USERS) as transaction:
            value = transaction.get(_SECRET_KEY)
        if value is not None:
            return checked(_SECRET_KEY, bytes(value))
        with self._environment.transaction(USERS, write=True) as transaction:
            transaction.put(_SECRET_KEY, with_checksum(_SECRET_KEY, os.urandom(_SECRET_BYTES)), overwrite=False)
            return checked(_SECRET_KEY, bytes(transaction.get(_SECRET_KEY) or b""))
