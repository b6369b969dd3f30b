"""`eventlog serve` under what is built on Kafka's clients: FastStream, Quix Streams, Faust, kombu; and kcat."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from eventlog import EventLog
from tests.interop import apache_kafka, python_frameworks

pytestmark = pytest.mark.clients

SECONDS_MAX = 60
WORDS = ["a", "b", "a", "c", "b", "a"]
GUARANTEES = ["at-least-once", "exactly-once"]


@pytest.fixture(scope="session")
def frameworks() -> None:
    """The frameworks are installed."""
    problem = python_frameworks.fetch()
    if problem is not None:
        if apache_kafka.is_required():
            pytest.fail(problem)
        pytest.skip(problem)


def append_words(log: EventLog) -> None:
    for word in WORDS:
        log.partition("words", 0).append(word.encode(), key=word.encode())


def expected_counts(times: int) -> list[str]:
    """What a counter prints that has read the words so many times and lost no state in between."""
    counts: Counter[str] = Counter()
    lines = []
    for word in WORDS * times:
        counts[word] += 1
        lines.append(f"{word} {counts[word]}")
    return lines


def committed_values(log: EventLog, topic: str, count: int) -> list[str]:
    """The first values that an embedded consumer sees, which is told nothing of aborted or open transactions."""
    values: list[str] = []
    with log.consumer(topic) as consumer:
        while len(values) < count:
            records = consumer.poll(timeout=SECONDS_MAX)
            assert records, f"{topic} has only {values}"
            values += [(record.value or b"").decode() for record in records]
    return values


@pytest.mark.usefixtures("frameworks")
@pytest.mark.parametrize("flavour", ["confluent", "kafka"])
def test_faststream_answers_every_record(bootstrap: str, log: EventLog, flavour: str) -> None:
    log.create_topic("names")
    log.create_topic("greetings")
    log.partition("names", 0).append_many([b"Ada", b"Grace"])
    python_frameworks.run("faststream_greeter", flavour, bootstrap, 2)
    assert committed_values(log, "greetings", 2) == ["Hello Ada", "Hello Grace"]


@pytest.mark.usefixtures("frameworks")
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_quix_streams_counts_on_with_the_state_of_its_changelog(bootstrap: str, log: EventLog, guarantee: str) -> None:
    log.create_topic("words")
    log.create_topic("counts")
    for times in (1, 2):
        append_words(log)
        python_frameworks.run("quix_counter", bootstrap, guarantee, len(WORDS))
        assert committed_values(log, "counts", len(WORDS) * times) == expected_counts(times)


@pytest.mark.usefixtures("frameworks")
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_faust_counts_on_with_the_table_of_its_changelog(bootstrap: str, log: EventLog, tmp_path: Path, guarantee: str) -> None:
    log.create_topic("words")
    log.create_topic("counts")
    for times in (1, 2):
        arguments = [bootstrap, guarantee.replace("-", "_"), tmp_path / f"data{times}"]
        command = python_frameworks.command("faust_counter", *arguments)
        with open(tmp_path / "output", "wb") as output:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output)
        try:
            assert process.stdout is not None
            assert b"ready\n" in process.stdout, (tmp_path / "output").read_text()
            append_words(log)
            assert committed_values(log, "counts", len(WORDS) * times) == expected_counts(times)
            process.terminate()
            assert process.wait(SECONDS_MAX) == 0, (tmp_path / "output").read_text()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.usefixtures("frameworks")
def test_kombu_fills_and_empties_a_queue(bootstrap: str, log: EventLog) -> None:
    assert python_frameworks.run("kombu_queue", bootstrap, 5).split() == ["0", "1", "2", "3", "4"]
    assert len(list(log.partition("jobs", 0).values())) == 5


def kcat(bootstrap: str, *options: str, input: str = "") -> str:
    done = subprocess.run(["kcat", "-b", bootstrap, *options], input=input, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_produces_consumes_lists_and_seeks(bootstrap: str, log: EventLog) -> None:
    log.create_topic("words", 1)
    kcat(bootstrap, "-P", "-t", "words", "-K:", "-z", "lz4", "-H", "h=1", input="1:a\n2:b\n")
    kcat(bootstrap, "-P", "-t", "words", "-X", "transactional.id=t", input="c\n")
    records = [(record.key, record.value, record.headers) for record in log.partition("words", 0).read(0)]
    assert records[:2] == [(b"1", b"a", (("h", b"1"),)), (b"2", b"b", (("h", b"1"),))]
    assert kcat(bootstrap, "-C", "-t", "words", "-e", "-q") == "a\nb\nc\n"
    assert kcat(bootstrap, "-C", "-t", "words", "-o", "1", "-c", "1", "-f", "%k=%s at %o") == "2=b at 1"
    assert kcat(bootstrap, "-G", "g", "-X", "auto.offset.reset=earliest", "-c", "3", "-q", "words") == "a\nb\nc\n"
    assert 'topic "words" with 1 partitions' in kcat(bootstrap, "-L")
    assert kcat(bootstrap, "-Q", "-t", "words:0:0").split() == ["words", "[0]", "offset", "0"]
