"""Workers of a server and embedded writers are killed while Java's clients produce, and copy in transactions.

What was acknowledged has to be in the log, nothing may be there twice, and readers of committed records never see a part of
a transaction. `python -m tests.interop.kills --rounds 20` does it again and again, in directories of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import confluent_kafka

import eventlog
from eventlog import EventLog
from tests.interop import apache_kafka
from tests.interop.served import Served
from tests.support.processes import Worker

PARTITIONS = 2
TRANSACTION_RECORDS = 4  # of an embedded transaction: two in each partition
SECONDS_MAX = 180  # on a busy machine, Java programs take a minute to start
_PAUSE_SECONDS = 0.002  # between the appends of an embedded writer

Records = list[tuple[int, bytes]]  # offsets and values of a partition


def append_until_killed(connection: Connection, store: Path, run: int, acknowledged: Path) -> None:
    """Append to both partitions of `events`, and note in a file what was appended, until this is killed or told to end."""
    with eventlog.open(store) as log, open(acknowledged, "ab", buffering=0) as file:
        for number in itertools.count():
            value = f"{run}-{number}"
            offset = log.partition("events", number % PARTITIONS).append(value.encode())
            file.write(f"{number % PARTITIONS} {offset} {value}\n".encode())
            if connection.poll(_PAUSE_SECONDS):
                return


def commit_until_killed(connection: Connection, store: Path, run: int, acknowledged: Path) -> None:
    """Write transactions to both partitions of `outputs`, and note in a file which of them were committed."""
    with (
        eventlog.open(store) as log,
        log.producer(transactional_id="embedded") as producer,
        open(acknowledged, "ab", buffering=0) as file,
    ):
        for number in itertools.count():
            with producer.transaction():
                for index in range(TRANSACTION_RECORDS):
                    producer.send("outputs", f"{run}-{number} {index}".encode(), partition=index % PARTITIONS)
            file.write(f"{run}-{number}\n".encode())
            if connection.poll(_PAUSE_SECONDS):
                return


class EmbeddedWriter:
    """A process that writes to the store itself, and the next one after it was killed."""

    def __init__(self, role: Callable[..., None], store: Path, acknowledged: Path) -> None:
        self._role, self._store, self._file = role, store, acknowledged
        self.runs = 0
        self._start()

    def _start(self) -> None:
        self._worker = Worker(self._role, self._store, self.runs, self._file)
        self.runs += 1

    def replace(self) -> None:
        """SIGKILL to it, and start another one."""
        self._worker.kill()
        self._start()

    def end(self) -> list[str]:
        """Let it end, and return the lines that all of them have noted as acknowledged."""
        with self._worker:
            self._worker.send(None)
            assert self._worker.exit_status == 0, self._worker.drain()
        return [line for line in self._file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def produce(directory: Path, count: int, kills: int) -> str:
    """Let Java's verifiable producer, which is idempotent, produce while workers and embedded writers are killed."""
    store = directory / "store"
    with eventlog.open(store) as log:
        log.create_topic("events", PARTITIONS)
    served = Served(store, PARTITIONS)
    embedded = EmbeddedWriter(append_until_killed, store, directory / "acknowledged")
    settings = directory / "producer.properties"
    settings.write_text("enable.idempotence=true\nretries=2147483647\n")  # without it, the program has none
    options = ["--topic", "events", "--max-messages", str(count), "--throughput", "4000", "--producer.config", str(settings)]
    connected = ["--bootstrap-server", served.bootstrap]
    command = apache_kafka.command("org.apache.kafka.tools.VerifiableProducer", *options, *connected)
    acknowledged: list[tuple[int, int, bytes]] = []
    with open(directory / "errors", "wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file) as producer:
        assert producer.stdout is not None
        for event in map(json.loads, producer.stdout):
            assert event["name"] != "producer_send_error", event
            if event["name"] == "producer_send_success":
                acknowledged.append((event["partition"], event["offset"], event["value"].encode()))
                if len(acknowledged) % (count // kills) == 0:
                    served.kill_one(len(acknowledged))
                    embedded.replace()
    assert producer.returncode == 0, (directory / "errors").read_text()
    noted = [line.split() for line in embedded.end()]
    served.stop()
    assert sorted(int(value) for _, _, value in acknowledged) == list(range(count))
    with eventlog.open(store) as log:
        stored = [[record.value or b"" for record in log.partition("events", each).records()] for each in range(PARTITIONS)]
        assert not any(report.problems for report in log.verify())
    for partition, offset, value in acknowledged + [(int(p), int(offset), value.encode()) for p, offset, value in noted]:
        assert stored[partition][offset] == value
    assert max(Counter(itertools.chain(*stored)).values()) == 1
    for values in stored:
        produced = [int(value) for value in values if b"-" not in value]
        assert produced == sorted(produced)
    return f"{count} records of the producer, {len(noted)} of {embedded.runs} embedded writers"


class Copier:
    """Kafka's TransactionalMessageCopier, which copies a partition of `inputs` to that of `outputs`, and aborts at random."""

    def __init__(self, bootstrap: str, partition: int, output: Path) -> None:
        topics = ["--input-topic", "inputs", "--input-partition", str(partition), "--output-topic", "outputs"]
        group = ["--consumer-group", f"copiers-{partition}", "--use-group-metadata"]
        identity = ["--transactional-id", f"copier-{partition}", "--transaction-timeout", "5000"]
        transactions = ["--transaction-size", "50", "--enable-random-aborts"]
        self._options = ["--broker-list", bootstrap, *topics, *group, *identity, *transactions]
        self._output = output
        self.runs = 0
        self.start()

    def start(self) -> None:
        self.program = apache_kafka.Program(self._output, "org.apache.kafka.tools.TransactionalMessageCopier", *self._options)
        self.runs += 1

    def replace(self) -> None:
        """SIGKILL to it, and start another one."""
        self.program.kill()
        self.start()


class Reader:
    """Reads the committed records of `outputs` while they are written."""

    def __init__(self, bootstrap: str) -> None:
        options = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
        self._consumer = confluent_kafka.Consumer({**options, "isolation.level": "read_committed", "log_level": 0})
        self._consumer.assign([confluent_kafka.TopicPartition("outputs", each, 0) for each in range(PARTITIONS)])
        self.records: list[Records] = [[] for _ in range(PARTITIONS)]

    def read(self) -> list[int]:
        """Wait for more records; their partitions."""
        found = [*self._consumer.consume(1, SECONDS_MAX), *self._consumer.consume(100, 0)]
        messages = [each for each in found if each.error() is None]
        assert messages, f"nothing for {SECONDS_MAX} s after {[len(records) for records in self.records]} records"
        for message in messages:
            self.records[message.partition()].append((message.offset(), message.value()))
        return [message.partition() for message in messages]

    def close(self) -> None:
        self._consumer.close()


def committed(log: EventLog) -> list[Records]:
    """The committed records of `outputs`, as an embedded consumer sees them."""
    records: list[Records] = [[] for _ in range(PARTITIONS)]
    with log.consumer("outputs") as consumer:
        while found := consumer.poll(timeout=0):
            for record in found:
                records[record.partition].append((record.offset, record.value or b""))
    return records


def copied(records: Records) -> list[bytes]:
    """The values that are not those of embedded writers."""
    return [value for _, value in records if b"-" not in value]


def assert_transactions_are_whole(outputs: list[Records], acknowledged: set[str]) -> None:
    """All records of a transaction of the embedded writers are there once, or none; all, if it was acknowledged."""
    found: dict[str, list[int]] = defaultdict(list)
    for name, index in (value.decode().split() for records in outputs for _, value in records if b"-" in value):
        found[name].append(int(index))
    assert all(sorted(indexes) == list(range(TRANSACTION_RECORDS)) for indexes in found.values())
    assert acknowledged <= set(found)


def copy(directory: Path, count: int, kills: int) -> str:
    """Let Java programs copy in transactions while they, workers and embedded writers of transactions are killed."""
    store = directory / "store"
    inputs = [[b"%d" % number for number in range(partition, count, PARTITIONS)] for partition in range(PARTITIONS)]
    with eventlog.open(store) as log:
        log.create_topic("inputs", PARTITIONS)
        log.create_topic("outputs", PARTITIONS)
        for partition, values in enumerate(inputs):
            log.partition("inputs", partition).append_many(values)
    served = Served(store, PARTITIONS)
    embedded = EmbeddedWriter(commit_until_killed, store, directory / "acknowledged")
    copiers = [Copier(served.bootstrap, each, directory / f"copier-{each}") for each in range(PARTITIONS)]
    reader = Reader(served.bootstrap)
    try:
        kill_while_copying(reader, copiers, served, embedded, inputs, kills)
        noted = {line.strip() for line in embedded.end()}
        with eventlog.open(store) as log:
            outputs = committed(log)
        while sum(map(len, reader.records)) < sum(map(len, outputs)):
            reader.read()
        reader.close()
    finally:
        for copier in copiers:
            copier.program.kill()
    served.stop()
    assert reader.records == outputs
    assert [copied(records) for records in outputs] == inputs
    assert_transactions_are_whole(outputs, noted)
    runs = sum(copier.runs for copier in copiers)
    return f"{count} records of {runs} copiers, {len(noted)} commits of {embedded.runs} embedded writers"


def kill_while_copying(
    reader: Reader, copiers: list[Copier], served: Served, embedded: EmbeddedWriter, inputs: list[list[bytes]], kills: int
) -> None:
    """Read until everything was copied. Each copier is killed so often, whenever it has copied another part, and each time also
    a worker and the embedded writer."""
    for turn in itertools.count():
        counts = [len(copied(records)) for records in reader.records]
        for partition, copier in enumerate(copiers):
            if copier.runs <= kills and counts[partition] >= copier.runs * len(inputs[partition]) // (kills + 1):
                copier.replace()
                served.kill_one(turn)
                embedded.replace()
        if counts == list(map(len, inputs)):
            break
        reader.read()
    for copier in copiers:
        copier.program.wait(SECONDS_MAX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--count", type=int, default=20_000, help="records of each scenario and round")
    parser.add_argument("--kills", type=int, default=10, help="of each kind of process, in each scenario and round")
    arguments = parser.parse_args()
    problem = apache_kafka.fetch()
    if problem is not None:
        raise SystemExit(problem)
    for number in range(arguments.rounds):
        for scenario in (produce, copy):
            with tempfile.TemporaryDirectory() as directory:
                print(number, scenario.__name__, scenario(Path(directory), arguments.count, arguments.kills), flush=True)


if __name__ == "__main__":
    main()
