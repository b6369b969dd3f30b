"""The users of the store, as the server sees them: from the newest version of the catalog."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from enum import Enum

from eventlog.catalog.users import ALL_NAMES, ROLES, Credential, User
from eventlog.serve.kept_catalog import KeptCatalog
from eventlog.serve.security.scram import matches, unknown_credential
from eventlog.store.store import Store

READER, WRITER, ADMIN = ROLES


_CHECKS_MAX = 1  # of passwords at a time: they take a processor


class Resource(Enum):
    """What a user needs a right on."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional id"
    CLUSTER = "cluster"


def may(user: User, role: str, resource: Resource, name: str) -> bool:
    """May the user do with a resource what needs this role? The cluster is for admins whose names are not limited."""
    if ROLES.index(user.role) < ROLES.index(role):
        return False
    if resource is Resource.TOPIC:
        return name.startswith(user.topic_prefixes)
    if resource is Resource.CLUSTER:
        return role != ADMIN or not (is_limited(user.topic_prefixes) or is_limited(user.group_prefixes))
    return name.startswith(user.group_prefixes)


def is_limited(prefixes: tuple[str, ...]) -> bool:
    """Are there names that do not begin with one of these?"""
    return not set(ALL_NAMES) & set(prefixes)


class Users(KeptCatalog[tuple[bytes, list[User]]]):
    """All users, and the secret that makes up credentials for names that nobody has."""

    def __init__(self, store: Store, executor: Executor) -> None:
        super().__init__(store, executor)
        self._secret = b""
        self._by_name: dict[str, User] = {}
        self._checks = asyncio.Semaphore(_CHECKS_MAX)

    def load(self) -> tuple[bytes, list[User]]:
        catalog = self._store.catalog.users
        return self._secret or catalog.secret(), catalog.all()

    def take(self, loaded: tuple[bytes, list[User]]) -> None:
        self._secret, users = loaded
        self._by_name = {user.name: user for user in users}

    def all(self) -> list[User]:
        """All users, as of the last `refresh`."""
        return list(self._by_name.values())

    def find(self, name: str) -> User | None:
        """A user by its name, as of the last `refresh`."""
        return self._by_name.get(name)

    def credential(self, mechanism: str, name: str) -> Credential:
        """What checks the password of a user; for an unknown name, what no password matches."""
        unknown = unknown_credential(mechanism, name, self._secret)  # always, so that it takes the same time
        user = self.find(name)
        return unknown if user is None else user.credentials.get(mechanism, unknown)

    async def matches(self, mechanism: str, credential: Credential, password: str) -> bool:
        """Is this the password? Checked in a thread, one after the other."""
        async with self._checks:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, matches, mechanism, credential, password)
