"""Python source that is generated from a message's schema, and compiled: the common base of decoders and encoders.

The source has one function for each structure. One call of `struct` handles adjacent fields of fixed size.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Any

from eventlog.serve.protocol.schema import Field, Struct

FIXED = {
    "bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d",
    "uuid": "16s",
}  # fmt: skip
SHORT = {"string"}  # types whose length, unless it is compact, is an int16


class Source(ABC):
    """Lines of Python for one version of a message, and the objects that they refer to."""

    def __init__(self, schema: Struct, version: int) -> None:
        self.version = version
        self.is_flexible = version in schema.flexible_versions
        self.indent = 0
        self._functions: set[str] = set()
        self._lines: list[str] = []
        self._names: dict[str, Any] = {}

    @abstractmethod
    def function(self, schema: Struct, name: str) -> None:
        """Add the function for a structure."""

    @abstractmethod
    def field(self, field: Field) -> None:
        """Add the lines for one field that is not of fixed size."""

    @abstractmethod
    def fixed_fields(self, fields: list[Field], form: str) -> None:
        """Add the lines for adjacent fields of fixed size; `form` is their format for `struct`."""

    def add(self, *lines: str) -> None:
        """Add lines with the current indentation."""
        self._lines += ["    " * self.indent + line for line in lines]

    def name(self, name: str, value: Any) -> str:
        """Let the source refer to an object by a name; returns the name."""
        self._names[name] = value
        return name

    def struct_method(self, form: str, method: str) -> str:
        """The name of a method of `struct.Struct` for a format, in network byte order."""
        return self.name(f"{method}_{form.replace('?', 'o')}", getattr(struct.Struct(f">{form}"), method))

    def struct_function(self, schema: Struct) -> str:
        """The name of the function for a structure, which is added if it does not exist yet."""
        name = f"{type(self).__name__}_{schema.name}"
        if name not in self._functions:
            self._functions.add(name)
            outer, indent = self._lines, self.indent
            self._lines, self.indent = [], 0
            self.function(schema, name)
            self._lines, self.indent = self._lines + outer, indent
        return name

    def fields(self, fields: list[Field]) -> None:
        """Add the lines for these fields, in order."""
        for run in _runs(fields):
            if _is_fixed(run[0]):
                self.fixed_fields(run, "".join(FIXED[field.type] for field in run))
            else:
                self.field(run[0])

    def is_compact(self, field: Field) -> bool:
        """Does the field have a length of variable size?"""
        return self.is_flexible if field.flexible_versions is None else self.version in field.flexible_versions

    def is_nullable(self, field: Field) -> bool:
        """May the field be None?"""
        return self.version in field.nullable_versions

    def present_fields(self, schema: Struct) -> tuple[list[Field], list[Field]]:
        """The fields that this version has: the ordinary ones in order, and the tagged ones by their tags."""
        fields = [field for field in schema.fields if self.version in field.versions]
        tagged = [field for field in fields if field.is_tagged(self.version)]
        return [field for field in fields if field not in tagged], sorted(tagged, key=lambda field: field.tag or 0)

    def compiled(self, schema: Struct) -> Any:
        """The function for the message itself."""
        name = self.struct_function(schema)
        exec(compile("\n".join(self._lines), f"<{name} {self.version}>", "exec"), self._names)
        return self._names[name]


def _is_fixed(field: Field) -> bool:
    return field.type in FIXED and not field.is_array


def _runs(fields: list[Field]) -> list[list[Field]]:
    """Group adjacent fields of fixed size, and leave every other field alone."""
    runs: list[list[Field]] = []
    for field in fields:
        if runs and _is_fixed(field) and _is_fixed(runs[-1][-1]):
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs
