"""A search finds what looking at every record finds, whatever the records, the codec and the pattern."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import Record
from tests.support import stores

# Few different bytes, so that patterns are found, and nearly found, everywhere.
_bytes = st.text("abAB{ \0é", max_size=24).map(str.encode)
_nullable = st.none() | _bytes
_headers = st.lists(st.tuples(st.text("abA", max_size=4), _nullable), max_size=2)
_units = st.lists(st.lists(st.tuples(_nullable, _nullable, _headers), min_size=1, max_size=12), min_size=1, max_size=6)
_fields = st.lists(st.sampled_from(["key", "value", "headers"]), min_size=1, unique=True)
_literals = st.text("abAB{ \0é", max_size=5).map(str.encode)
_PLAIN = ["a", "b", "ab", "aB{", " ", "."]
_PIECES = [*_PLAIN, "[ab]", "(ab|B)", "(?:ab)+", "a{2,3}", "(a)?", "b*", "^", "$", "(?i:A)", "(?=a)", "\\Aa"]
_expressions = st.lists(st.sampled_from(_PIECES), max_size=5).map("".join).map(str.encode)
_flags = st.sampled_from([0, re.IGNORECASE, re.DOTALL, re.IGNORECASE | re.VERBOSE, re.MULTILINE])


def _texts(record: Record, fields: list[str]) -> list[bytes]:
    texts = [record.key] if "key" in fields else []
    texts += [record.value] if "value" in fields else []
    if "headers" in fields:
        texts += [text for name, value in record.headers for text in (name.encode(), value)]
    return [text for text in texts if text is not None]


@settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    _units,
    st.sampled_from(["none", "gzip", "snappy", "lz4", "zstd"]),
    _fields,
    st.lists(st.tuples(_literals, st.booleans()), max_size=4),
    st.lists(st.tuples(_expressions, _flags), max_size=4),
    st.data(),
)
def test_a_search_finds_what_looking_at_every_record_finds(
    units: list[list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]],
    codec: str,
    fields: list[str],
    literals: list[tuple[bytes, bool]],
    expressions: list[tuple[bytes, int]],
    data: st.DataObject,
) -> None:
    with tempfile.TemporaryDirectory(prefix="eventlog-property-") as directory:
        store = Path(directory) / "store"
        stores.create(store, segment_bytes=2048, max_message_bytes=700)
        with eventlog.open(store, fsync="never") as log:
            partition = stores.open_partition(log)
            for unit in units:
                keys, values, headers = ([record[place] for record in unit] for place in range(3))
                partition.append_many(values, keys=keys, headers=headers, compression=codec)
            start = data.draw(st.integers(0, partition.end_offset))
            stop = data.draw(st.none() | st.integers(0, partition.end_offset + 1))
            records = list(partition.records(start, stop))
            for literal, ignore_case in literals:
                plain = re.compile(re.escape(literal), re.IGNORECASE if ignore_case else 0)
                expected = [record for record in records if any(map(plain.search, _texts(record, fields)))]
                assert list(partition.search(literal, start, stop, fields=fields, ignore_case=ignore_case)) == expected
            for source, flags in expressions:
                expression = re.compile(source, flags)
                expected = [record for record in records if any(map(expression.search, _texts(record, fields)))]
                assert list(partition.search(expression, start, stop, fields=fields)) == expected
                others = [record for record in records if record not in expected]
                assert list(partition.search(expression, start, stop, fields=fields, invert=True)) == others
