"""DescribeUserScramCredentials and AlterUserScramCredentials: passwords of users, as Kafka's tools show and set them (KIP-554).

A user that gets a first password in this way is a reader without limits; `eventlog serve users` gives it another role.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from eventlog.catalog.users import Credential, User, UserCatalog, check_user_name
from eventlog.errors import EventLogError
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security import scram
from eventlog.serve.security.users import READER

_MECHANISMS = {1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}
_NUMBERS = {name: number for number, name in _MECHANISMS.items()}


async def answer_describe_user_scram_credentials(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The mechanisms by which each user, or those that are named, can authenticate, and the number of iterations."""
    await broker.users.refresh()
    users = {user.name: user for user in broker.users.all()}
    entry = kind("DescribeUserScramCredentialsResponse", "DescribeUserScramCredentialsResult")
    results = []
    counts = Counter([each.name for each in request.users] if request.users else list(users))
    for name, count in counts.items():
        user = users.get(name)
        if count > 1:
            results.append(entry(user=name, error_code=errors.DUPLICATE_RESOURCE, error_message="it is named twice"))
        elif user is None:
            results.append(entry(user=name, error_code=errors.RESOURCE_NOT_FOUND, error_message=f"there is no user {name!r}"))
        else:
            results.append(entry(user=name, credential_infos=_infos(user)))
    return kind("DescribeUserScramCredentialsResponse")(results=results)


def _infos(user: User) -> list[Any]:
    info = kind("DescribeUserScramCredentialsResponse", "CredentialInfo")
    return [info(mechanism=_NUMBERS[name], iterations=each.iterations) for name, each in user.credentials.items()]


async def answer_alter_user_scram_credentials(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Set and delete passwords. A user without any stays, but cannot authenticate."""
    changes = [(each, False) for each in request.upsertions] + [(each, True) for each in request.deletions]
    counts = Counter(each.name for each, _ in changes)
    results: dict[str, Any] = {}
    for each, is_deletion in changes:
        result = kind("AlterUserScramCredentialsResponse", "AlterUserScramCredentialsResult")(user=each.name)
        results[each.name] = result
        try:
            if counts[each.name] > 1:
                raise RefusedError(errors.DUPLICATE_RESOURCE, f"the request names user {each.name!r} more than once")
            check_user_name(each.name)
            mechanism = _MECHANISMS.get(each.mechanism)
            if mechanism is None:
                raise RefusedError(errors.UNSUPPORTED_SASL_MECHANISM, f"{each.mechanism} is not the number of a mechanism")
            credential = None if is_deletion else _credential(mechanism, each)
            await broker.in_thread(partial(_set, broker, each.name, mechanism, credential))
        except (EventLogError, RefusedError) as error:
            result.error_code, result.error_message = code_of(error), str(error)
    return kind("AlterUserScramCredentialsResponse")(results=list(results.values()))


def _credential(mechanism: str, upsertion: Any) -> Credential:
    if not scram.ITERATIONS_MIN <= upsertion.iterations <= scram.ITERATIONS_MAX:
        allowed = f"{scram.ITERATIONS_MIN} to {scram.ITERATIONS_MAX}"
        raise RefusedError(errors.UNACCEPTABLE_CREDENTIAL, f"there are {upsertion.iterations} iterations, and not {allowed}")
    if not upsertion.salt or not upsertion.salted_password:
        raise RefusedError(errors.UNACCEPTABLE_CREDENTIAL, "the salt or the salted password is empty")
    return scram.credential_of(mechanism, upsertion.salted_password, upsertion.salt, upsertion.iterations)


def _set(broker: Broker, name: str, mechanism: str, credential: Credential | None) -> None:
    catalog: UserCatalog = broker.log.store.catalog.users
    is_there = any(user.name == name for user in catalog.all())
    if credential is None:
        if not is_there or mechanism not in catalog.find(name).credentials:
            raise RefusedError(errors.RESOURCE_NOT_FOUND, f"user {name!r} has no password for {mechanism}")
        catalog.alter(name, lambda user: user._replace(credentials=_without(user.credentials, mechanism)))
    elif is_there:
        catalog.alter(name, lambda user: user._replace(credentials={**user.credentials, mechanism: credential}))
    else:
        catalog.add(User(name, READER, credentials={mechanism: credential}))
    broker.log.store.announcer.announce()


def _without(credentials: Mapping[str, Credential], mechanism: str) -> dict[str, Credential]:
    return {name: credential for name, credential in credentials.items() if name != mechanism}
