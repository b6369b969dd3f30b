"""Consumer groups of `eventlog serve` with clients as people have them: they subscribe, rebalance, and commit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata
from kafka import TopicPartition as KafkaTopicPartition

import eventlog
from eventlog import EventLog, TopicPartition
from tests.cli.command_line import CommandLine
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

SECONDS_MAX = 30
PARTITIONS = 4
RECORDS = 200


@pytest.fixture
def sent(log: EventLog) -> set[bytes]:
    """The values of records in all partitions of the topic `orders`."""
    log.create_topic("orders", PARTITIONS)
    values = [b"value %d" % number for number in range(RECORDS)]
    for number in range(PARTITIONS):
        log.partition("orders", number).append_many(values[number::PARTITIONS])
    return set(values)


def everything_is_committed(log: EventLog, group: str) -> bool:
    lag = log.group(group).lag()
    return len(lag) == PARTITIONS and set(lag.values()) == {0}


def kafka_python(bootstrap: str, group: str, **options: Any) -> Any:
    """A consumer that knows the topic before it joins. On a busy machine, kafka-python 3.0.12 may wait forever, with all its
    requests answered, if it learns of the topic only when it has joined, and has to join again."""
    consumer = KafkaConsumer(
        "orders", bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **options
    )
    consumer.partitions_for_topic("orders")
    return consumer


def poll_until(consumers: list[Any], is_done: Any) -> list[bytes]:
    """Poll all consumers in turn until a condition is met; returns the values."""
    values: list[bytes] = []
    while not is_done(values):
        for consumer in consumers:
            values += [record.value for records in consumer.poll(50).values() for record in records]
    return values


def test_kafka_python_subscribes_and_continues_after_its_commit(bootstrap: str, log: EventLog, sent: set[bytes]) -> None:
    first = kafka_python(bootstrap, "billing", client_id="first")
    assert set(poll_until([first], lambda values: len(values) >= RECORDS)) == sent
    first.commit()
    assert everything_is_committed(log, "billing")
    second = kafka_python(bootstrap, "billing", client_id="second")
    found = poll_until([first, second], lambda values: len(first.assignment()) == len(second.assignment()) == PARTITIONS // 2)
    assert found == []
    for number in range(PARTITIONS):
        log.partition("orders", number).append(b"new")
    assert poll_until([first, second], lambda values: len(values) >= PARTITIONS) == [b"new"] * PARTITIONS
    assert {member.client_id for member in log.group("billing").describe().members} == {"first", "second"}
    first.close()
    poll_until([second], lambda values: len(second.assignment()) == PARTITIONS)
    second.close()


def test_kafka_python_keeps_metadata_and_goes_back(bootstrap: str, log: EventLog, sent: set[bytes]) -> None:
    partition = KafkaTopicPartition("orders", 0)
    consumer = kafka_python(bootstrap, "billing")
    poll_until([consumer], lambda values: len(values) >= RECORDS)
    for offset in (5, 2):
        consumer.commit({partition: OffsetAndMetadata(offset, f"note {offset}", -1)})
        assert consumer.committed(partition, metadata=True).metadata == f"note {offset}"
        assert log.group("billing").committed()[TopicPartition("orders", 0)] == offset
    consumer.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_confluent_subscribes_with_every_assignor(bootstrap: str, log: EventLog, sent: set[bytes], strategy: str) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    options = {
        "bootstrap.servers": bootstrap,
        "group.id": "billing",
        "partition.assignment.strategy": strategy,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "heartbeat.interval.ms": 100,
        "session.timeout.ms": 6000,
    }
    first, second = (confluent_kafka.Consumer({**options, "client.id": name}) for name in ("first", "second"))
    values: list[bytes] = []

    def poll(*consumers: Any) -> None:
        for consumer in consumers:
            message = consumer.poll(0.05)
            if message is not None:
                assert message.error() is None
                values.append(message.value())
                consumer.commit(message, asynchronous=False)

    first.subscribe(["orders"])
    while len(values) < RECORDS:
        poll(first)
    assert set(values) == sent
    assert everything_is_committed(log, "billing")
    second.subscribe(["orders"])
    while not len(first.assignment()) == len(second.assignment()) == PARTITIONS // 2:
        poll(first, second)
    assert len(values) == RECORDS
    described = log.group("billing").describe()
    assert {(member.client_id, member.host, len(member.partitions)) for member in described.members} == {
        ("first", "127.0.0.1", 2),
        ("second", "127.0.0.1", 2),
    }
    first.close()
    while len(second.assignment()) < PARTITIONS:
        poll(second)
    second.close()
    assert log.group("billing").describe().members == ()


def test_aiokafka_subscribes(bootstrap: str, log: EventLog, sent: set[bytes]) -> None:
    aiokafka = pytest.importorskip("aiokafka")

    async def consume() -> list[bytes]:
        consumer = aiokafka.AIOKafkaConsumer(
            "orders", bootstrap_servers=bootstrap, group_id="billing", auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        values = [(await consumer.getone()).value for _ in range(RECORDS)]
        await consumer.commit()
        await consumer.stop()
        return values

    assert set(asyncio.run(asyncio.wait_for(consume(), 2 * SECONDS_MAX))) == sent
    assert everything_is_committed(log, "billing")


def test_an_embedded_producer_hears_of_a_clients_commit(bootstrap: str, log: EventLog) -> None:
    log.create_topic("orders")
    consumer = kafka_python(bootstrap, "billing")
    with log.producer() as producer:
        receipt = producer.send("orders", b"awaited")
        assert poll_until([consumer], lambda values: len(values) > 0) == [b"awaited"]
        assert not receipt.is_acked("billing")
        consumer.commit()
        assert receipt.wait_acked("billing", SECONDS_MAX)
    consumer.close()


@pytest.fixture
def groups_tool(bootstrap: str) -> Iterator[Any]:
    def run(*arguments: str, may_fail: bool = False) -> str:
        main = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        return apache_kafka.run(main, "--bootstrap-server", bootstrap, *arguments, may_fail=may_fail)

    yield run


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_consumers_and_group_tool(
    bootstrap: str, log: EventLog, sent: set[bytes], groups_tool: Any, tmp_path: Path
) -> None:
    tools = "org.apache.kafka.tools"
    where = ["--bootstrap-server", bootstrap, "--topic", "orders"]
    console = ["--from-beginning", "--max-messages", str(RECORDS), "--timeout-ms", "60000"]
    printed = apache_kafka.run(f"{tools}.consumer.ConsoleConsumer", *where, "--group", "console", *console)
    assert {line.encode() for line in printed.splitlines() if line.startswith("value ")} == sent
    assert everything_is_committed(log, "console")
    options = ["--max-messages", str(RECORDS), "--reset-policy", "earliest"]
    printed = apache_kafka.run(f"{tools}.VerifiableConsumer", *where, "--group-id", "verifiable", *options)
    assert printed.count('"name":"records_consumed"') >= 1
    assert everything_is_committed(log, "verifiable")
    assert {"console", "verifiable"} <= set(groups_tool("--list").split())
    described = groups_tool("--describe", "--group", "console")
    assert described.count(" orders ") == PARTITIONS
    reset = ["--topic", "orders:0", "--to-offset", "3", "--execute"]
    assert "orders" in groups_tool("--group", "console", "--reset-offsets", *reset)
    assert log.group("console").committed()[TopicPartition("orders", 0)] == 3
    assert log.group("console").history()[-1].kind == "reset"
    log.group("console").undo_reset()
    assert everything_is_committed(log, "console")
    assert "orders" in groups_tool("--group", "console", "--delete-offsets", "--topic", "orders")
    assert log.group("console").committed() == {}
    groups_tool("--group", "console", "--delete")
    assert log.groups() == ["verifiable"]


def test_a_confluent_consumer_continues_when_the_server_is_killed(store: Path) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    port = apache_kafka.free_ports()[0]
    command_line = CommandLine(store)

    def start() -> Any:
        process = command_line.start("serve", "--listen", f"127.0.0.1:{port}", "--json")
        assert process.stdout is not None and process.stdout.readline()
        return process

    process = start()
    rebalances: list[str] = []
    with eventlog.open(store) as log:
        log.create_topic("orders")
        options = {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "billing", "auto.offset.reset": "earliest"}
        options |= {"heartbeat.interval.ms": 100, "reconnect.backoff.max.ms": 200}
        consumer = confluent_kafka.Consumer({**options, "enable.auto.commit": False})
        consumer.subscribe(["orders"], on_assign=lambda *_: rebalances.append("assigned"))
        for number in range(3):
            log.partition("orders", 0).append(b"%d" % number)
            while (message := consumer.poll(0.1)) is None or message.error():
                pass
            assert message.value() == b"%d" % number
            consumer.commit(message, asynchronous=False)
            generation = log.group("billing").describe().generation
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert log.group("billing").committed() == {TopicPartition("orders", 0): number + 1}
            process = start()
        assert (rebalances, generation) == (["assigned"], 1)
        consumer.close()
    process.terminate()
    process.wait(SECONDS_MAX)


def test_kafka_pythons_admin_moves_offsets(bootstrap: str, log: EventLog, sent: set[bytes]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    partition = KafkaTopicPartition("orders", 1)
    admin.alter_group_offsets("billing", {partition: OffsetAndMetadata(7, "moved", -1)})
    assert log.group("billing").committed() == {TopicPartition("orders", 1): 7}
    assert "moved" in str(admin.list_group_offsets("billing"))
    admin.delete_group_offsets("billing", [partition])
    assert log.group("billing").committed() == {}
    admin.close()


def test_kafka_pythons_admin_sees_groups(bootstrap: str, log: EventLog, sent: set[bytes]) -> None:
    consumer = kafka_python(bootstrap, "billing", client_id="worker")
    poll_until([consumer], lambda values: len(values) >= RECORDS)
    consumer.commit()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert "billing" in str(admin.list_groups())
    assert "worker" in str(admin.describe_groups(["billing"]))
    consumer.close()
    admin.delete_groups(["billing"])
    assert log.groups() == []
    admin.close()
