"""Carries out only what a user has a right to, for every API in the same way.

What a request names is checked before the handler is called, and what an answer lists afterwards. What is refused is answered
in the form of the API, as its schema has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from eventlog.catalog.users import User
from eventlog.serve import errors, offered
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import DisconnectError
from eventlog.serve.lists import encoded_items
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import message
from eventlog.serve.protocol.schema import Struct
from eventlog.serve.security.rights import REFUSALS, RIGHTS, TOPIC, All, Each, Listed, Whole, resource_of
from eventlog.serve.security.users import READER, WRITER, Resource, may

_ZERO_UUID = bytes(16)
_PARTITION_FIELDS = ("partition_index", "index", "partition")
_MESSAGE_FIELDS = ("error_message", "message")
_METADATA = offered.APIS[offered.METADATA].name

Handler = Callable[[Broker, Client, int, Any], Awaitable[Any]]


async def guarded(name: str, handler: Handler, broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The answer to a request for the API `name`: of its handler for what the client's user may do, and a refusal for the rest.
    A client without a session may do everything."""
    if client.session is None or client.session.user is None:  # before authentication only what anyone may ask gets here
        return await handler(broker, client, version, request)
    await broker.topics.refresh()
    check = _Check(name, version, request, broker, client.session.user)
    refused = check.refuse_whole()
    if refused is not None:
        return refused
    answer = check.refuse_items()
    if answer is not None:
        return answer
    answer = await handler(broker, client, check.handled_version(), request)
    return check.finished(answer)


class _Check:
    """A request of a user, and the entries of the answer for what was refused."""

    def __init__(self, name: str, version: int, request: Any, broker: Broker, user: User) -> None:
        self._name = name
        self._api = RIGHTS[name]
        self._version = version
        self._request = request
        self._broker = broker
        self._user = user
        self._requested, self._answered = message(f"{name}Request"), message(f"{name}Response")
        self._refused: list[tuple[str, Any]] = []  # by the answer's list

    def _has(self, schema: Struct, field: str) -> bool:
        return any(each.name == field and self._version in each.versions for each in schema.fields)

    def _may(self, role: str, resource: Resource, name: str) -> bool:
        return may(self._user, role, resource, name)

    # --- the request as a whole --------------------------------------------------------------------------

    def refuse_whole(self) -> Any:
        """The answer to a request that is refused as a whole; None if it is not."""
        for rule in self._api.rules:
            if isinstance(rule, Whole) and not self._allows_whole(rule):
                return self._refusal(REFUSALS[resource_of(rule, self._request, None)])
        return None

    def _allows_whole(self, rule: Whole) -> bool:
        if not rule.field:
            return self._may(rule.role, rule.resource, "")
        if not self._has(self._requested, rule.field):
            return True
        named = getattr(self._request, rule.field)
        names = [] if named is None else [named] if isinstance(named, str) else named
        resource = resource_of(rule, self._request, None)
        return all(self._may(rule.role, resource, name) for name in names)

    def _refusal(self, code: int) -> Any:
        """An answer that refuses everything: in its own field for errors, or else in that of each item."""
        if self._is_unanswered():
            raise DisconnectError(f"it wants no answer, and user {self._user.name!r} may not do this")
        answer: Any = self._answered.kind()
        if self._has(self._answered, "error_code"):
            answer.error_code = code
            return answer
        for rule in self._api.rules:
            if isinstance(rule, Each) and self._has(self._requested, rule.field):
                items = getattr(self._request, rule.field) or ()
                entries = [refused_entry(self._entry(rule.answers), item, rule.name, code, self._version) for item in items]
                setattr(answer, rule.answers, [*getattr(answer, rule.answers), *entries])
        return answer

    def _is_unanswered(self) -> bool:
        return self._name == "Produce" and self._request.acks == 0

    # --- its items ---------------------------------------------------------------------------------------

    def refuse_items(self) -> Any:
        """Take the items out of the request that are refused. If nothing is left, the answer."""
        is_left, is_all = self._api.always, False
        for rule in self._api.rules:
            if isinstance(rule, All):
                is_all = self._name_all(rule)
            elif isinstance(rule, Each) and self._has(self._requested, rule.field):
                items = getattr(self._request, rule.field)
                allowed = None if items is None else [item for item in items if self._allows(rule, item)]
                is_left = is_left or allowed is None or bool(allowed)
                if allowed is not None:
                    setattr(self._request, rule.field, allowed)
        if not self._refused and not is_all:
            return None
        if self._is_unanswered():
            raise DisconnectError(f"it wants no answer, and user {self._user.name!r} may not do this")
        return None if is_left else self._with_refused(self._answered.kind())

    def _name_all(self, rule: All) -> bool:
        """Name the topics that the user may read, if the request asks for all; by id, where that can be, so that none that is
        being deleted is created again."""
        items = getattr(self._request, rule.field)
        if items or (items is not None and self._version not in rule.is_empty_all):
            return False
        entry = next(field.struct for field in self._requested.fields if field.name == rule.field)
        assert entry is not None
        has_ids = "topic_id" in entry.kind.field_names
        topics = [topic for topic in self._broker.topics.by_name.values() if self._may(READER, TOPIC, topic.name)]
        named = [entry.kind(name=None, topic_id=topic.id) if has_ids else entry.kind(name=topic.name) for topic in topics]
        setattr(self._request, rule.field, named)
        return True

    def _allows(self, rule: Each, item: Any) -> bool:
        """May the user do this with what the item names? If not, the answer's entry is added to those that are refused."""
        code = self._code(rule, item)
        if code:
            self._refused.append((rule.answers, refused_entry(self._entry(rule.answers), item, rule.name, code, self._version)))
        return not code

    def _code(self, rule: Each, item: Any) -> int:
        resource = resource_of(rule, self._request, item)
        name = getattr(item, rule.name) if rule.name else item
        by_id = resource is TOPIC and rule.name != "" and getattr(item, "topic_id", _ZERO_UUID) != _ZERO_UUID
        if by_id:
            topic = self._broker.topics.by_id.get(item.topic_id)
            if topic is None:
                return errors.UNKNOWN_TOPIC_ID
            name = topic.name
        if not self._may(rule.role, resource, name or ""):
            return errors.UNKNOWN_TOPIC_ID if by_id and self._name == _METADATA else REFUSALS[resource]
        is_new = self._name == _METADATA and name not in self._broker.topics.by_name
        if is_new and not self._may(WRITER, TOPIC, name or ""):  # which would create the topic
            return errors.UNKNOWN_TOPIC_OR_PARTITION
        return errors.NONE

    def _entry(self, answers: str) -> Struct:
        found = next(field.struct for field in self._answered.fields if field.name == answers)
        assert found is not None
        return found

    def handled_version(self) -> int:
        """The version for the handler. A request of Metadata 0 of which nothing is left would ask for all topics."""
        return 1 if self._name == _METADATA and self._version == 0 and not self._request.topics else self._version

    # --- the answer --------------------------------------------------------------------------------------

    def finished(self, answer: Any) -> Any:
        """The handler's answer without what the user may not see, and with what was refused."""
        if answer is None:
            return None
        for rule in self._api.rules:
            if isinstance(rule, Listed):
                self._hide(rule, answer, rule.field.split("."))
        return self._with_refused(answer)

    def _hide(self, rule: Listed, answer: Any, path: list[str]) -> None:
        items = getattr(answer, path[0])
        if len(path) > 1:
            for item in items:
                self._hide(rule, item, path[1:])
        elif len(items):
            setattr(answer, path[0], [item for item in items if self._sees(rule, item)])

    def _sees(self, rule: Listed, item: Any) -> bool:
        name = getattr(item, rule.name)
        topic = self._broker.topics.by_id.get(item.topic_id) if not name and "topic_id" in item.field_names else None
        name = topic.name if topic is not None else name
        return not name or self._may(READER, rule.resource, name)

    def _with_refused(self, answer: Any) -> Any:
        by_list: dict[str, list[Any]] = {}
        for field, entry in self._refused:
            by_list.setdefault(field, []).append(entry)
        for field, entries in by_list.items():
            rules = [rule for rule in self._api.rules if isinstance(rule, Each) and rule.answers == field]
            is_left = any(getattr(self._request, rule.field) for rule in rules)
            answered = getattr(answer, field) if is_left else ()
            if isinstance(answered, Encoded):
                refused = encoded_items(f"{self._name}Response", self._entry(field).name, self._version, entries)
                setattr(answer, field, Encoded(len(answered) + len(refused), [*answered.pieces, *refused.pieces]))
            else:
                setattr(answer, field, [*answered, *entries])
        return answer


def refused_entry(schema: Struct, item: Any, name: str, code: int, version: int) -> Any:
    """An entry of an answer that refuses an item of a request: fields of the same name are copied, and the error is in the
    entry's own field, or in those of the entries in its list."""
    entry: Any = schema.kind()
    names = [field.name for field in schema.fields]
    is_name_left = True
    for field in schema.fields:
        if field.name == "error_code":
            entry.error_code = code
        elif field.struct is not None and field.is_array and "error_code" not in names:
            setattr(entry, field.name, [refused_entry(field.struct, each, "", code, version) for each in _items(item)])
        elif field.name in _PARTITION_FIELDS:
            setattr(entry, field.name, _partition(item))
        elif not isinstance(item, int | str) and field.name in item.field_names and not field.is_array:
            value = getattr(item, field.name)
            is_missing = value is None and field.type == "string" and version not in field.nullable_versions
            setattr(entry, field.name, "" if is_missing else value)
            is_name_left = is_name_left and field.type != "string"
        elif field.type == "string" and is_name_left and (name or isinstance(item, str)) and field.name not in _MESSAGE_FIELDS:
            setattr(entry, field.name, (item if isinstance(item, str) else getattr(item, name)) or "")
            is_name_left = False
    return entry


def _items(item: Any) -> Any:
    """The list that an item of a request has."""
    return next((value for value in vars(item).values() if isinstance(value, list)), ())


def _partition(item: Any) -> int:
    if isinstance(item, int):
        return item
    return int(next(getattr(item, name) for name in _PARTITION_FIELDS if name in item.field_names))
