"""Apache Kafka's own kafka-dump-log reads our segments and indexes without complaint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.interop import apache_kafka, samples
from tests.support import kafka_format, stores

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("kafka")]

COMPLAINTS = re.compile(r"mismatch|non-consecutive|out of order|invalid|isvalid: false|not found|error|exception|corrupt", re.I)


def complaints(output: str) -> list[str]:
    return [line for line in output.splitlines() if COMPLAINTS.search(line) and "SLF4J" not in line]


@pytest.mark.parametrize("codec", samples.CODECS)
@pytest.mark.parametrize("log_append_time", [False, True], ids=["CreateTime", "LogAppendTime"])
def test_kafka_dump_log_agrees_with_sealed_and_closed_segments(store: Path, log_append_time: bool, codec: str) -> None:
    ours = samples.write(store, log_append_time=log_append_time, codec=codec)
    segments = stores.segments(store)
    assert len(segments) > 2
    output = apache_kafka.dump_log(*segments)
    assert not complaints(output)
    assert set(re.findall(r" compresscodec: (\w+)", output)) == {"none", codec}
    kind = "LogAppendTime" if log_append_time else "CreateTime"
    found = re.findall(rf"^\| offset: (\d+) {kind}: (\d+) keySize: (-?\d+) valueSize: (-?\d+)", output, re.MULTILINE)
    size = lambda data: -1 if data is None else len(data)  # noqa: E731
    assert [tuple(map(int, fields)) for fields in found] == [
        (record.offset, record.timestamp, size(record.key), size(record.value)) for record in ours
    ]


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_kafka_dump_log_agrees_with_the_indexes(store: Path, suffix: str) -> None:
    samples.write(store)
    files = [segment.with_suffix(suffix) for segment in stores.segments(store)]
    output = apache_kafka.dump_log(*files)
    assert not complaints(output)
    if suffix == ".index":
        entries = [entry for file in files for entry in kafka_format.parse_index(file.read_bytes())]
        shown = re.findall(r"^offset: (\d+) position: (\d+)", output, re.MULTILINE)
    else:
        entries = [entry for file in files for entry in kafka_format.parse_time_index(file.read_bytes())]
        shown = re.findall(r"^timestamp: (\d+) offset: (\d+)", output, re.MULTILINE)
    assert len(shown) == len(entries) > 10


def test_kafka_dump_log_complains_about_a_wrong_index(store: Path) -> None:
    """Shows that the absence of complaints above means something."""
    samples.write(store)
    index = stores.segments(store)[0].with_suffix(".index")
    data = bytearray(index.read_bytes())
    data[7] ^= 1
    index.write_bytes(data)
    output = apache_kafka.dump_log(index, may_fail=True)
    assert complaints(output)
