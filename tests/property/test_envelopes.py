"""`consume --json` and `produce --format json` are inverse, whatever a record holds."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from tests.cli.command_line import CommandLine

_bytes = st.one_of(st.binary(max_size=30), st.text(max_size=20).map(str.encode))
_nullable = st.one_of(st.none(), _bytes)
_name = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_record = st.tuples(  # key, value, headers, timestamp
    _nullable,
    _nullable,
    st.one_of(st.none(), st.lists(st.tuples(_name, _nullable), max_size=3)),
    st.integers(0, 253_402_300_799_999),
)
_number = itertools.count()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_record, min_size=1, max_size=20))
def test_records_come_back_as_they_were(tmp_path: Path, records: list[tuple]) -> None:
    cli = CommandLine(tmp_path / "store")
    source, target = (f"{name}{next(_number)}" for name in ("source", "target"))
    keys, values, headers, timestamps = (list(column) for column in zip(*records, strict=True))
    with eventlog.open(cli.store) as log:
        log.create_topic(source)
        log.partition(source, 0).append_many(values, keys=keys, headers=headers, timestamps=timestamps)
    printed = cli.run("consume", source, "--json").stdout
    cli.output("produce", target, "--create", "--format", "json", "--any-time", stdin=printed)
    with eventlog.open(cli.store) as log:
        found = [(record.key, record.value, record.headers, record.timestamp) for record in log.partition(target, 0).records()]
    assert found == [(key, value, tuple(pairs or ()), time) for key, value, pairs, time in records]
