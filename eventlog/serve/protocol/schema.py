"""The schema of a message: its fields, as a specification describes them, and a class for its objects.

Source: the README of Kafka's message specifications (clients/src/main/resources/common/message/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

_VERSION_MAX = 2**15 - 1
_INTEGERS = {"int8", "int16", "uint16", "int32", "uint32", "int64"}
_ZERO_UUID = bytes(16)


class Message:
    """Base of the classes of messages and of the structures in them. Defaults are attributes of the class."""

    field_names: frozenset[str] = frozenset()

    def __init__(self, **fields: Any) -> None:
        assert fields.keys() <= self.field_names, f"{type(self).__name__} has no {fields.keys() - self.field_names}"
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Field(NamedTuple):
    """A field of a structure. `type` is a primitive's name or "struct", of an item if `is_array`; `struct` is its schema."""

    name: str
    type: str
    is_array: bool
    struct: Struct | None
    versions: range
    nullable_versions: range
    flexible_versions: range | None
    tag: int | None
    tagged_versions: range
    default: Any

    def is_tagged(self, version: int) -> bool:
        """Is it one of the tagged fields at the end of its structure?"""
        return version in self.tagged_versions


class Struct(NamedTuple):
    """A message, or a structure inside one. `structs` are all those inside the message, by name."""

    name: str
    fields: list[Field]
    versions: range
    flexible_versions: range
    kind: type[Message]
    structs: dict[str, Struct]


def parse_versions(text: str | None) -> range:
    """The versions that a text such as "3+", "0-12", "4" or "none" denotes."""
    if text is None or text == "none":
        return range(0)
    first, separator, last = text.rstrip("+").partition("-")
    if text.endswith("+"):
        return range(int(first), _VERSION_MAX + 1)
    return range(int(first), int(last if separator else first) + 1)


def parse_message(spec: dict[str, Any]) -> Struct:
    """The schema that a specification describes."""
    versions, flexible = parse_versions(spec["validVersions"]), parse_versions(spec["flexibleVersions"])
    structs = _Structs(spec.get("commonStructs", ()), versions, flexible)
    return _parse_struct(spec["name"], spec["fields"], versions, flexible, structs)


class _Structs(dict[str, Struct]):
    """The structures of a message. Those that several others contain are parsed when one refers to them, in any order."""

    def __init__(self, common: Iterable[dict[str, Any]], versions: range, flexible: range) -> None:
        self._common = {spec["name"]: spec["fields"] for spec in common}
        self._versions, self._flexible = versions, flexible

    def __missing__(self, name: str) -> Struct:
        self[name] = found = _parse_struct(name, self._common[name], self._versions, self._flexible, self)
        return found


def _parse_struct(
    name: str, fields: list[dict[str, Any]], versions: range, flexible: range, structs: dict[str, Struct]
) -> Struct:
    parsed = [_parse_field(field, versions, flexible, structs) for field in fields]
    defaults = {field.name: field.default for field in parsed}
    found = type(name, (Message,), {**defaults, "field_names": frozenset(defaults)})
    return Struct(name, parsed, versions, flexible, found, structs)


def _parse_field(spec: dict[str, Any], versions: range, flexible: range, structs: dict[str, Struct]) -> Field:
    type_name = spec["type"].removeprefix("[]")
    is_array = spec["type"] != type_name
    struct = None
    if type_name[0].isupper():
        if "fields" in spec:
            structs[type_name] = _parse_struct(type_name, spec["fields"], versions, flexible, structs)
        struct, type_name = structs[type_name], "struct"
    own_flexible = spec.get("flexibleVersions")
    return Field(
        _snake_case(spec["name"]),
        type_name,
        is_array,
        struct,
        parse_versions(spec["versions"]),
        parse_versions(spec.get("nullableVersions")),
        None if own_flexible is None else parse_versions(own_flexible),
        spec.get("tag"),
        parse_versions(spec.get("taggedVersions")),
        _default(str(spec.get("default", "")).lower(), type_name, is_array, struct),
    )


def _default(text: str, type_name: str, is_array: bool, struct: Struct | None) -> Any:
    if text == "null":
        return None
    if is_array:
        return ()
    if struct is not None:
        return struct.kind()
    if type_name in _INTEGERS:
        return int(text or "0", 0)
    if type_name == "float64":
        return float(text or 0)
    return {"bool": text == "true", "uuid": _ZERO_UUID, "string": text}.get(type_name, b"")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
