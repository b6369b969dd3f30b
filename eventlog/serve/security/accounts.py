"""Adds, alters and deletes users, for those who can open the store. Servers that run notice it with the next request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eventlog.catalog.users import ALL_NAMES, ROLES, Credential, User
from eventlog.errors import InvalidArgumentError
from eventlog.serve.security.scram import MECHANISMS, new_credential
from eventlog.serve.served import ServedLog


def _credentials(password: str) -> Mapping[str, Credential]:
    return {mechanism: new_credential(mechanism, password) for mechanism in MECHANISMS}


def _check_role(role: str) -> str:
    if role not in ROLES:
        raise InvalidArgumentError(f"the role is {role!r}, but must be one of {', '.join(ROLES)}")
    return role


def add_user(
    log: ServedLog,
    name: str,
    password: str,
    role: str = "reader",
    *,
    topic_prefixes: Sequence[str] = ALL_NAMES,
    group_prefixes: Sequence[str] = ALL_NAMES,
) -> None:
    """Add a user, who may use topics, and groups and transactional ids, whose names begin with one of the prefixes.

    Raises `InvalidArgumentError`, also if there is a user of this name."""
    user = User(name, _check_role(role), tuple(topic_prefixes), tuple(group_prefixes), _credentials(password))
    log.store.catalog.users.add(user)
    log.store.announcer.announce()


def alter_user(
    log: ServedLog,
    name: str,
    *,
    password: str | None = None,
    role: str | None = None,
    topic_prefixes: Sequence[str] | None = None,
    group_prefixes: Sequence[str] | None = None,
) -> None:
    """Change what is not None. A new password ends the user's connections. Raises `InvalidArgumentError`."""
    changes: dict[str, object] = {}
    if password is not None:
        changes["credentials"] = _credentials(password)
    if role is not None:
        changes["role"] = _check_role(role)
    if topic_prefixes is not None:
        changes["topic_prefixes"] = tuple(topic_prefixes)
    if group_prefixes is not None:
        changes["group_prefixes"] = tuple(group_prefixes)
    log.store.catalog.users.alter(name, lambda user: user._replace(**changes))  # type: ignore[arg-type]
    log.store.announcer.announce()


def delete_user(log: ServedLog, name: str) -> None:
    """Delete a user, whose connections end. Raises `InvalidArgumentError` if there is none of this name."""
    log.store.catalog.users.delete(name)
    log.store.announcer.announce()


def users(log: ServedLog) -> list[User]:
    """All users, sorted by name."""
    return log.store.catalog.users.all()
