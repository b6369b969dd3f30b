"""The decoder of a version of a message, compiled from the message's schema.

It takes a memoryview `data` and a position. A value that ends behind the data is detected at the end of the message at the
latest. So only lengths and counts, which decide how much memory is taken, are checked immediately.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from eventlog.serve.protocol.schema import Field, Struct
from eventlog.serve.protocol.source import FIXED, SHORT, Source
from eventlog.serve.protocol.varints import read_varint, skip_tags

_ITEMS_MAX = 50_000  # of all arrays in a message: an item may take 8 bytes in it, and some hundred as an object


def compile_decoder(schema: Struct, version: int) -> Callable[[memoryview, int], tuple[Any, int]]:
    """The function that makes an object from the bytes at a position; returns it and their end. For one thread at a time."""
    decoder = _Decoder(schema, version)
    decode_message: Callable[[memoryview, int], tuple[Any, int]] = decoder.compiled(schema)

    def decode(data: memoryview, position: int) -> tuple[Any, int]:
        decoder.items = 0
        return decode_message(data, position)

    return decode


def check_length(size: int, smallest: int) -> None:
    """Refuse a negative length, other than the one of a null."""
    if size < smallest:
        raise ValueError(f"a length is {size}")


class _Decoder(Source):
    def __init__(self, schema: Struct, version: int) -> None:
        super().__init__(schema, version)
        self.items = 0  # counted so far in the message that is being decoded
        self.name("new", object.__new__)  # a third of the time that a call of the class takes
        for helper in (read_varint, self.check_count, check_length, skip_tags):
            self.name(helper.__name__, helper)

    def check_count(self, count: int, data: memoryview, position: int) -> int:
        """Check and return the count of an array, whose items take at least a byte each."""
        self.items += count
        if not 0 <= count <= len(data) - position:
            raise ValueError(f"an array of {count} items stands in {len(data) - position} bytes")
        if self.items > _ITEMS_MAX:
            raise ValueError(f"it has more than {_ITEMS_MAX} items")
        return count

    def function(self, schema: Struct, name: str) -> None:
        self.add(f"def {name}(data, position):")
        self.indent = 1
        self.add(f"made = new({self.name(f'Kind_{schema.name}', schema.kind)})")
        ordered, tagged = self.present_fields(schema)
        self.fields(ordered)
        if self.is_flexible:
            self._tags(tagged)
        self.add("return made, position")

    def fixed_fields(self, fields: list[Field], form: str) -> None:
        targets = "".join(f"made.{field.name}, " for field in fields)
        self.add(f"{targets}= {self.struct_method(form, 'unpack_from')}(data, position)")
        self.add(f"position += {struct.calcsize('>' + form)}")

    def field(self, field: Field) -> None:
        if not field.is_array:
            self._value(field, f"made.{field.name}", self.is_nullable(field))
            return
        self._length(field, "i", self.is_nullable(field), f"made.{field.name} = None")
        self.add(f"made.{field.name} = items = []", "for _ in range(check_count(size, data, position)):")
        self.indent += 1
        self._value(field, "item", False)
        self.add("items.append(item)")
        self.indent -= 2

    def _value(self, field: Field, target: str, nullable: bool) -> None:
        if field.struct is not None:
            call = f"{target}, position = {self.struct_function(field.struct)}(data, position)"
            if nullable:
                self.add("present = data[position]", "position += 1")
                self.add("if present == 255:", f"    {target} = None", "else:", f"    {call}")
            else:
                self.add(call)
        elif field.type in FIXED:
            form = FIXED[field.type]
            self.add(f"{target}, = {self.struct_method(form, 'unpack_from')}(data, position)")
            self.add(f"position += {struct.calcsize('>' + form)}")
        else:
            self._length(field, "h" if field.type in SHORT else "i", nullable, f"{target} = None")
            made = {"string": "str({}, 'utf-8')", "bytes": "bytes({})"}.get(field.type, "{}")
            self.add(f"{target} = {made.format('data[position:position + size]')}", "position += size")
            self.indent -= 1

    def _length(self, field: Field, form: str, nullable: bool, null: str) -> None:
        """Add the lines that read a length, and begin the block for a value that is not null."""
        if self.is_compact(field):
            self.add("size = data[position] - 1", "position += 1")
            self.add("if size > 126:", "    size, position = read_varint(data, position - 1)", "    size -= 1")
        else:
            self.add(f"size, = {self.struct_method(form, 'unpack_from')}(data, position)")
            self.add(f"position += {struct.calcsize('>' + form)}")
        self.add("if size < 0:", f"    check_length(size, {-1 if nullable else 0})", f"    {null}", "else:")
        self.indent += 1

    def _tags(self, tagged: list[Field]) -> None:
        if not tagged:
            self.add("if data[position]:", "    position = skip_tags(data, position)", "else:", "    position += 1")
            return
        self.add("count, position = read_varint(data, position)", "for _ in range(check_count(count, data, position)):")
        self.indent += 1
        self.add("tag, position = read_varint(data, position)", "size, position = read_varint(data, position)")
        self.add("end = position + size")
        for number, field in enumerate(tagged):
            self.add(f"{'el' if number else ''}if tag == {field.tag}:")
            self.indent += 1
            self.fields([field])
            self.indent -= 1
        self.add("else:", "    position = end")
        self.add("if position != end or end > len(data):", "    raise ValueError('a tagged field has another size')")
        self.indent -= 1
