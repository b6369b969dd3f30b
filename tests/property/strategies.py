"""Arbitrary records, with what is rare in practice and common in bugs made likely."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.model import Event

TIMESTAMP_MAX = 2**63 - 1

nullable_bytes = st.none() | st.just(b"") | st.binary(max_size=40)
headers = st.lists(st.tuples(st.text(max_size=8), nullable_bytes), max_size=3).map(tuple)
# Few different times, so that equal ones and steps back are common; and the ends of the range.
timestamps = st.none() | st.integers(0, 40) | st.integers(0, TIMESTAMP_MAX) | st.just(TIMESTAMP_MAX)

small_events = st.builds(Event, nullable_bytes, nullable_bytes, headers, timestamps)

# Lengths on both sides of each size of a varint, of a page and of the buffers on the way.
_LENGTHS = (62, 63, 64, 65, 127, 128, 4_000, 4_095, 4_096, 4_097, 8_191, 8_192, 65_535, 65_536, 65_537, 262_144, 300_000)


def _filled(length: int, seed: bytes) -> bytes:
    return (seed * (length // len(seed) + 1))[:length]


large_bytes = st.builds(_filled, st.sampled_from(_LENGTHS), st.binary(min_size=1, max_size=8))
any_bytes = nullable_bytes | st.binary(max_size=2_000) | large_bytes
any_headers = st.lists(st.tuples(st.text(max_size=70), any_bytes), max_size=6).map(tuple)
any_events = st.builds(Event, any_bytes, any_bytes, headers | any_headers, timestamps)
