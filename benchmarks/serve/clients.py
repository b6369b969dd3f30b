"""What confluent-kafka, the client on librdkafka, gets from a server."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.serve.raw import Measured, cpu_seconds
from benchmarks.serve.servers import Running

_GROUP = "benchmark"  # never joined: the client wants the name of one


def produce(server: Running, topic: str, count: int, record_bytes: int, **options: Any) -> Measured:
    """Send records as fast as the client can, and wait until all are acknowledged."""
    import confluent_kafka

    value, failed = b"x" * record_bytes, []
    settings = {"bootstrap.servers": server.bootstrap, "queue.buffering.max.messages": 1_000_000, **options}
    producer = confluent_kafka.Producer(settings, logger=None)
    producer.list_topics(topic, timeout=60)
    before, start = cpu_seconds(server.processes), time.perf_counter()
    for number in range(count):
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0 and not failed, failed[:1]
    return Measured(count, time.perf_counter() - start, cpu_seconds(server.processes) - before)


def consume(server: Running, topic: str, count: int) -> Measured:
    """Read records from the beginning of the topic."""
    import confluent_kafka

    options = {"bootstrap.servers": server.bootstrap, "group.id": _GROUP, "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer({**options, "queued.min.messages": 1_000_000, "fetch.message.max.bytes": 4_000_000})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    before, start, found = cpu_seconds(server.processes), time.perf_counter(), 0
    while found < count:
        found += len(consumer.consume(min(10_000, count - found), 60))
    measured = Measured(count, time.perf_counter() - start, cpu_seconds(server.processes) - before)
    consumer.close()
    return measured


def produce_one_by_one(server: Running, topic: str, count: int) -> tuple[list[float], float]:
    """Send a record, and wait for its acknowledgement, again and again: the seconds of each, and the server's in all."""
    import confluent_kafka

    producer = confluent_kafka.Producer({"bootstrap.servers": server.bootstrap, "linger.ms": 0, "acks": "all"})
    producer.produce(topic, b"first")
    producer.flush(60)
    before, times = cpu_seconds(server.processes), []
    for _ in range(count):
        start = time.perf_counter()
        producer.produce(topic, b"x" * 100)
        assert producer.flush(60) == 0
        times.append(time.perf_counter() - start)
    return times, cpu_seconds(server.processes) - before
