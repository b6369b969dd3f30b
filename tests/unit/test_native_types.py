"""The types that are written in C: what they say of themselves, and that the garbage collector frees them."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from eventlog import _native

TYPES = [item for item in vars(_native).values() if isinstance(item, type)]
SIGNATURES: dict[Any, str] = {
    _native.Holding: "(take, /, *give_back)",
    _native.Holding.__exit__: "(self, kind, error, trace, /)",
    _native.Trying: "(acquire, release, refuse, /)",
    _native.Nested: "(steps, make, /)",
    _native.held_blocks: "()",
    _native.BaseProducer: "(signals, topics, receipt_type, /)",
    _native.send_at_once: "(producer, topic, value, key, headers, partition, timestamp, /)",
    _native.BasePartition: "(writer, idle_readers, may_wait, /)",
    _native.BasePartitionSender: "(writer, /)",
    _native.BaseWriter: "(log, address, owner, /)",
    _native.BaseWriter.append_at_once: "(self, value, key, headers, timestamp, /)",
    _native.BaseReader: "(address, owner, record_type, make, topic, partition, /)",
    _native.BaseReader.take: "(self, records, max_records, stop_offset, /)",
    _native.BaseReader.take_found: "(self, query, accepts, records, max_records, stop_offset, /)",
    _native.PartitionIterator: "(reader, load, stop_offset, has_records, /)",
    _native.pack_lists: "(pack, values, keys, headers, timestamps, now, encoding, position, /)",
    _native.arrow_schema: "(field, /)",
    _native.arrow_array: "(node, owner, /)",
    _native.arrow_stream: "(field, next, /)",
    _native.PartitionChoice: "(senders, stay_bytes, overhead_bytes, least_bytes, seed, /)",
    _native.PartitionChoice.count: "(self, size, /)",
    _native.Gathered: "(first_offset=-1, /)",
    _native.BaseOffsetSlot.commit: "(self, offset, /)",
    _native.BaseOffsetSlot.try_commit: "(self, offset, /)",
    _native.Gathered.add: "(self, value, key, headers, timestamp, size, /)",
}


class Held:
    """Something that a weak reference may refer to, and that refers to what holds it."""

    held_by: Any = None

    def take(self) -> None: ...

    def refuse(self) -> Any: ...


@pytest.mark.parametrize("item", SIGNATURES, ids=lambda item: item.__qualname__)
def test_the_signature_is_that_of_the_documentation(item: Any) -> None:
    assert str(inspect.signature(item)) == SIGNATURES[item]


@pytest.mark.parametrize("native_type", TYPES, ids=lambda native_type: native_type.__name__)
def test_types_and_their_public_methods_are_documented_and_named_after_their_module(native_type: type) -> None:
    assert native_type.__module__ == "eventlog._native"
    methods = {name: item for name, item in vars(native_type).items() if callable(item) and not name.startswith("_")}
    assert native_type.__doc__ and all(item.__doc__ for item in methods.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda held: _native.Holding(held.take),
        lambda held: _native.Holding(int, held.take),
        lambda held: _native.Trying(bool, bool, held.refuse),
        lambda held: _native.Nested((held.take,), None),
        lambda held: _native.Nested((), held.take),
    ],
    ids=["take", "give_back", "refuse", "steps", "make"],
)
def test_a_cycle_is_freed(make: Callable[[Held], Any]) -> None:
    held = Held()
    held.held_by = make(held)
    seen = weakref.ref(held)
    gc.collect()
    assert seen() is held
    del held
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (_native.Holding, ()),
        (_native.Trying, (bool, bool)),
        (_native.Nested, ([], None)),
        (_native.BaseProducer, (1, {}, int)),
        (_native.BaseProducer, (0, {}, _native.BaseAppendedReceipt)),
        (_native.BasePartition, (1, [], True)),
        (_native.BasePartitionSender, (1,)),
        (_native.BaseWriter, (1, 0, None)),
        (_native.BaseReader, (1, None, int, None, "t", 0)),
        (_native.PartitionIterator, (1, int, 1, False)),
        (_native.PartitionChoice, ((), 1, 1, 1, 1)),
        (_native.PartitionChoice, ((1, 2), 1, 1, 1, 1)),
    ],
    ids=lambda item: item.__name__ if isinstance(item, type) else repr(item),
)
def test_wrong_arguments_are_a_type_error_that_says_the_right_ones(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=make.__name__):
        make(*arguments)
