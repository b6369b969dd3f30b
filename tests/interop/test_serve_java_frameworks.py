"""`eventlog serve` under what Apache Kafka has on top of its clients: Streams, Connect and MirrorMaker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from eventlog import EventLog
from tests.interop.apache_kafka import PROJECT, Program, free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("kafka")]

SECONDS_MAX = 60
WORD_COUNT = PROJECT.with_name("WordCount.java")
WORDS, LINES = 8, 2000


class Results:
    """What an embedded consumer sees of a topic, which is told nothing of aborted or open transactions."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._consumer = log.consumer(topic)
        self.records: list[tuple[str, str]] = []

    def wait(self, count: int, program: Program) -> None:
        """Until there are so many records."""
        while len(self.records) < count:
            records = self._consumer.poll(timeout=SECONDS_MAX)
            assert records, f"{len(self.records)} of {count} records: {program.output.read_text()}"
            self.records += [((each.key or b"").decode(), (each.value or b"").decode()) for each in records]


def test_streams_counts_exactly_once_although_it_is_killed(bootstrap: str, log: EventLog, tmp_path: Path) -> None:
    for topic in ("lines", "counts"):
        log.create_topic(topic, 2)
    lines = [f"word{number % WORDS} word{number % 3}".encode() for number in range(LINES)]
    for partition in (0, 1):
        log.partition("lines", partition).append_many(lines)
    expected = Counter(word for line in lines * 2 for word in line.decode().split())
    results = Results(log, "counts")
    for count in (LINES, expected.total()):
        with Program(tmp_path / "output", str(WORD_COUNT), bootstrap, str(tmp_path / "state")) as program:
            results.wait(count, program)
    counted: dict[str, list[int]] = {word: [] for word in expected}
    for word, found in results.records:
        counted[word].append(int(found))
    assert counted == {word: list(range(1, count + 1)) for word, count in expected.items()}


def connect(directory: Path, bootstrap: str) -> Program:
    """Kafka Connect, which copies the lines of the file `source` to the topic `lines`, and from there to the file `sink`."""
    port, _ = free_ports()
    worker = {
        "bootstrap.servers": bootstrap, "listeners": f"http://127.0.0.1:{port}", "plugin.discovery": "only_scan",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.file.filename": directory / "offsets", "offset.flush.interval.ms": 500,
    }  # fmt: skip
    source = {"name": "source", "connector.class": "FileStreamSource", "file": directory / "source", "topic": "lines"}
    sink = {"name": "sink", "connector.class": "FileStreamSink", "file": directory / "sink", "topics": "lines"}
    files = []
    for name, properties in (("worker", worker), ("source", source), ("sink", sink)):
        files.append(directory / f"{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return Program(directory / "output", "org.apache.kafka.connect.cli.ConnectStandalone", *map(str, files))


def test_connect_copies_files_to_a_topic_and_back(bootstrap: str, log: EventLog, tmp_path: Path) -> None:
    log.create_topic("lines", 2)
    results = Results(log, "lines")
    lines: list[str] = []
    for start in (0, 500):
        more = [f"line {number}" for number in range(start, start + 500)]
        lines += more
        with open(tmp_path / "source", "a") as file:
            file.write("".join(f"{line}\n" for line in more))
        with connect(tmp_path, bootstrap) as program:
            results.wait(len(lines), program)
            lines += ["embedded"] * 2
            with log.producer() as producer:
                for receipt in [producer.send("lines", b"embedded", partition=partition) for partition in (0, 1)]:
                    assert receipt.wait_acked("connect-sink", SECONDS_MAX)
            program.stop()
        assert sorted((tmp_path / "sink").read_text().splitlines()) == sorted(lines)
