"""What Kafka's own performance tools, in Java, get from a server."""

from __future__ import annotations

import re
import subprocess

from benchmarks.serve.raw import Measured, cpu_seconds
from benchmarks.serve.servers import Running
from tests.interop.apache_kafka import JARS

_SECONDS_MAX = 300
_SENT = re.compile(r"(\d+) records sent, ([\d.]+) records/sec")


def produce(server: Running, topic: str, count: int, record_bytes: int, *transaction: str) -> Measured:
    """kafka-producer-perf-test, with options such as those of transactions. Java's start is not measured."""
    before = cpu_seconds(server.processes)
    sizes = ["--num-records", str(count), "--record-size", str(record_bytes), "--throughput", "-1"]
    properties = ["--producer-props", f"bootstrap.servers={server.bootstrap}"]
    printed = _run("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, *sizes, *properties, *transaction)
    records, rate = _SENT.findall(printed)[-1]
    assert int(records) == count, printed
    return Measured(count, count / float(rate), cpu_seconds(server.processes) - before)


def consume(server: Running, topic: str, count: int) -> Measured:
    """kafka-consumer-perf-test: the time from the first fetch on."""
    before = cpu_seconds(server.processes)
    options = ["--bootstrap-server", server.bootstrap, "--topic", topic, "--messages", str(count)]
    printed = _run("org.apache.kafka.tools.ConsumerPerformance", *options)
    names, figures = ([each.strip() for each in line.split(",")] for line in printed.strip().splitlines()[-2:])
    found = dict(zip(names, figures, strict=True))
    received, milliseconds = int(found["data.consumed.in.nMsg"]), float(found["fetch.time.ms"])
    assert received >= count, printed
    return Measured(received, milliseconds / 1000, cpu_seconds(server.processes) - before)


def _run(main: str, *arguments: str) -> str:
    command = ["java", "-Xmx512m", "-cp", f"{JARS}/*", main, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS_MAX)
    assert done.returncode == 0, done.stdout
    return done.stdout
