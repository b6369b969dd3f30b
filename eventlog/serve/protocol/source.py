"""Python source that is made from a message's schema, and compiled: what decoders and encoders have in common.

The source has one function for each structure. Neighbours of fixed size are one call of `struct`.
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
SHORT = {"string"}  # whose length is an int16 where it is not compact


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
        """Add what a field that is not of fixed size needs, or one that stands alone."""

    @abstractmethod
    def fixed_fields(self, fields: list[Field], form: str) -> None:
        """Add what neighbours of fixed size need; `form` is their format for `struct`."""

    def add(self, *lines: str) -> None:
        """Add lines with the present indentation."""
        self._lines += ["    " * self.indent + line for line in lines]

    def name(self, name: str, value: Any) -> str:
        """Let the source refer to an object by a name; returns the name."""
        self._names[name] = value
        return name

    def struct_method(self, form: str, method: str) -> str:
        """The name of a method of `struct.Struct` for a format, in network byte order."""
        return self.name(f"{method}_{form.replace('?', 'o')}", getattr(struct.Struct(f">{form}"), method))

    def struct_function(self, schema: Struct) -> str:
        """The name of the function for a structure, which is made if it is not there yet."""
        name = f"{type(self).__name__}_{schema.name}"
        if name not in self._functions:
            self._functions.add(name)
            outer, indent = self._lines, self.indent
            self._lines, self.indent = [], 0
            self.function(schema, name)
            self._lines, self.indent = self._lines + outer, indent
        return name

    def fields(self, fields: list[Field]) -> None:
        """Add what these fields need, in order."""
        for run in _runs(fields):
            if _is_fixed(run[0]):
                self.fixed_fields(run, "".join(FIXED[field.type] for field in run))
            else:
                self.field(run[0])

    def is_compact(self, field: Field) -> bool:
        """Has the field a length of variable size?"""
        return self.is_flexible if field.flexible_versions is None else self.version in field.flexible_versions

    def is_nullable(self, field: Field) -> bool:
        """May the field be None?"""
        return self.version in field.nullable_versions

    def present_fields(self, schema: Struct) -> tuple[list[Field], list[Field]]:
        """The fields that this version has: those in order, and the tagged ones."""
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
    """Neighbours of fixed size together, each other field alone."""
    runs: list[list[Field]] = []
    for field in fields:
        if runs and _is_fixed(field) and _is_fixed(runs[-1][-1]):
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs
