"""Whatever bytes stand in a compressed section, decompressing them gives bytes or a `ValueError`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.records.compression import CODEC_NUMBERS, NO_CODEC, compress, decompress

CODECS = sorted(set(CODEC_NUMBERS.values()) - {NO_CODEC})
_SETTINGS = settings(max_examples=300, deadline=None, print_blob=True)

every_codec = pytest.mark.parametrize("codec", CODECS)
sections = st.binary(max_size=200) | st.binary(min_size=1, max_size=8).map(lambda seed: seed * 20_000)


@every_codec
@_SETTINGS
@given(section=sections)
def test_what_is_compressed_comes_back(codec: int, section: bytes) -> None:
    assert decompress(codec, compress(codec, section)) == section


@every_codec
@_SETTINGS
@given(section=sections, changes=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=4)), min_size=1, max_size=3))
def test_a_changed_section_is_bytes_or_a_value_error(codec: int, section: bytes, changes: list[tuple[int, bytes]]) -> None:
    changed = bytearray(compress(codec, section))
    for place, content in changes:
        place %= len(changed) + 1
        changed[place : place + 2] = content  # replaces, removes or inserts
    try:
        assert isinstance(decompress(codec, bytes(changed)), bytes)
    except ValueError as error:
        assert str(error)


@every_codec
@_SETTINGS
@given(section=st.binary(max_size=100))
def test_any_bytes_are_bytes_or_a_value_error(codec: int, section: bytes) -> None:
    try:
        assert isinstance(decompress(codec, section), bytes)
    except ValueError as error:
        assert str(error)
