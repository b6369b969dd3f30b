"""The encoder of a version of a message, compiled from the message's schema.

It takes an object and a list, to which it appends pieces of bytes; the buffers of records are appended without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog.serve.protocol.schema import Field, Struct
from eventlog.serve.protocol.source import FIXED, SHORT, Source
from eventlog.serve.protocol.varints import varint


class Encoded:
    """A list of structures that is already encoded: their number, and their bytes in pieces."""

    def __init__(self, count: int, pieces: list[Any]) -> None:
        self._count = count
        self.pieces = pieces

    def __len__(self) -> int:
        """The number of structures, which is encoded in front of them."""
        return self._count


def compile_encoder(schema: Struct, version: int) -> Callable[[Any, list[Any]], None]:
    """The function that appends the bytes of an object to a list, in pieces."""
    function: Callable[[Any, list[Any]], None] = _Encoder(schema, version).compiled(schema)
    return function


class _Encoder(Source):
    def __init__(self, schema: Struct, version: int) -> None:
        super().__init__(schema, version)
        self.name("varint", varint)
        self.name("Encoded", Encoded)
        self._list = "out"  # the list that takes the pieces; `add` is its append

    def function(self, schema: Struct, name: str) -> None:
        outer, self._list = self._list, "out"
        self.add(f"def {name}(made, out):")
        self.indent = 1
        self.add("add = out.append")
        ordered, tagged = self.present_fields(schema)
        self.fields(ordered)
        if tagged:
            self._tags(tagged)
        elif self.is_flexible:
            self.add(r"add(b'\0')")
        self._list = outer

    def fixed_fields(self, fields: list[Field], form: str) -> None:
        values = ", ".join(f"made.{field.name}" for field in fields)
        self.add(f"add({self.struct_method(form, 'pack')}({values}))")

    def field(self, field: Field) -> None:
        if not field.is_array:
            self._value(field, f"made.{field.name}", self.is_nullable(field))
            return
        self.add(f"items = made.{field.name}")
        self._length(field, "i", "items", self.is_nullable(field))
        if field.struct is not None:
            self.add("if items.__class__ is Encoded:", f"    {self._list} += items.pieces", "    items = ()")
        self.add("for item in items:")
        self.indent += 1
        self._value(field, "item", False)
        self.indent -= 2

    def _value(self, field: Field, value: str, nullable: bool) -> None:
        if field.struct is not None:
            call = f"{self.struct_function(field.struct)}({value}, {self._list})"
            if nullable:
                self.add(f"if {value} is None:", r"    add(b'\xff')", "else:", r"    add(b'\1')", f"    {call}")
            else:
                self.add(call)
        elif field.type in FIXED:
            self.add(f"add({self.struct_method(FIXED[field.type], 'pack')}({value}))")
        else:
            self.add(f"value = {value}")
            if field.type == "string":
                self.add("if value is not None:", "    value = value.encode()")
            self._length(field, "h" if field.type in SHORT else "i", "value", nullable)
            self.add("add(value)")
            self.indent -= 1

    def _length(self, field: Field, form: str, value: str, nullable: bool) -> None:
        """Add the lines that write a length, and begin the block for a value that is not null."""
        compact = self.is_compact(field)
        if nullable:
            null = r"b'\0'" if compact else f"{self.struct_method(form, 'pack')}(-1)"
            self.add(f"if {value} is None:", f"    add({null})", "else:")
        else:
            self.add("if True:")
        self.indent += 1
        size = f"len({value})"
        self.add(f"add(varint({size} + 1))" if compact else f"add({self.struct_method(form, 'pack')}({size}))")

    def _tags(self, tagged: list[Field]) -> None:
        """Add the lines that write the tagged fields with values other than their defaults, each with its size."""
        self.add("count, pieces = 0, []")
        for field in tagged:
            default = self.name(f"default_{field.tag}_{field.name}", field.default)
            differs = "is not" if field.struct is not None and not field.is_array else "!="
            is_given = f"len(made.{field.name})" if field.default == () else f"made.{field.name} {differs} {default}"
            self.add(f"if {is_given}:")
            self.indent += 1
            self.add("value_pieces = []", "add = value_pieces.append")
            self._list = "value_pieces"
            self.fields([field])
            self._list = "out"
            self.add(f"pieces += [varint({field.tag}), varint(sum(map(len, value_pieces))), *value_pieces]", "count += 1")
            self.indent -= 1
        self.add("add = out.append", "add(varint(count))", "out += pieces")
