"""`eventlog serve` with encryption and users, and clients as people have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

import eventlog
from eventlog.serve.security.accounts import add_user
from tests.cli.command_line import CommandLine
from tests.interop import apache_kafka
from tests.serve.certificates import Authority

pytestmark = pytest.mark.clients

SECONDS_MAX = 30
MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def bootstrap(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """The address of an encrypted server with the users alice, a writer, and bob, a reader of other topics."""
    command_line = CommandLine(tmp_path / "store")
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders")
        log.create_topic("secrets")
        add_user(log, "alice", "secret", "writer", topic_prefixes=["orders"])
        add_user(log, "bob", "secret", topic_prefixes=["secrets"])
        add_user(log, "root", "secret", "admin")
    tls = ("--tls-cert", authority.files.certificate, "--tls-key", authority.files.key)
    process = command_line.start("serve", "--listen", "127.0.0.1:0", "--json", "--users", *tls)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield f"{told['host']}:{told['port']}"
    command_line.kill_all()


def kafka_python(bootstrap: str, authority: Authority, mechanism: str, name: str, password: str = "secret") -> dict[str, Any]:
    return {
        "bootstrap_servers": bootstrap,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": authority.path,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": name,
        "sasl_plain_password": password,
    }


def confluent(bootstrap: str, authority: Authority, mechanism: str, name: str, password: str = "secret") -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(authority.path),
        "sasl.mechanism": mechanism,
        "sasl.username": name,
        "sasl.password": password,
    }


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python_produces_and_consumes_in_a_group(bootstrap: str, authority: Authority, mechanism: str) -> None:
    options = kafka_python(bootstrap, authority, mechanism, "alice")
    producer = KafkaProducer(**options)
    sent = [b"value %d " % number * 100 for number in range(500)]
    for value in sent:
        producer.send("orders", value)
    producer.close()
    consumer = KafkaConsumer("orders", group_id="billing", auto_offset_reset="earliest", **options)
    consumer.partitions_for_topic("orders")  # it may wait forever if it learns of the topic while it joins
    assert [next(consumer).value for _ in sent] == sent
    consumer.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_confluent_produces_and_consumes_in_a_group(bootstrap: str, authority: Authority, mechanism: str) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    options = confluent(bootstrap, authority, mechanism, "alice")
    producer = confluent_kafka.Producer(options)
    sent = [b"value %d " % number * 100 for number in range(500)]
    for value in sent:
        producer.produce("orders", value)
    assert producer.flush(SECONDS_MAX) == 0
    consumer = confluent_kafka.Consumer({**options, "group.id": "billing", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    values: list[bytes] = []
    while len(values) < len(sent):
        messages = consumer.consume(len(sent) - len(values), SECONDS_MAX)
        assert messages and not any(message.error() for message in messages)
        values += [message.value() for message in messages]
    consumer.close()
    assert values == sent


def test_clients_understand_what_they_may_not_do(bootstrap: str, authority: Authority) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    errors: list[Any] = []
    producer = confluent_kafka.Producer(confluent(bootstrap, authority, "SCRAM-SHA-512", "bob"))
    for topic in ("orders", "secrets"):
        producer.produce(topic, b"x", on_delivery=lambda error, message: errors.append(error))
    assert producer.flush(SECONDS_MAX) == 0
    assert [error.name() for error in errors] == ["TOPIC_AUTHORIZATION_FAILED"] * 2
    admin = pytest.importorskip("confluent_kafka.admin").AdminClient(confluent(bootstrap, authority, "SCRAM-SHA-256", "bob"))
    assert list(admin.list_topics(timeout=SECONDS_MAX).topics) == ["secrets"]


def test_clients_understand_that_they_are_not_admitted(bootstrap: str, authority: Authority) -> None:
    with pytest.raises(KafkaError):
        KafkaProducer(**kafka_python(bootstrap, authority, "SCRAM-SHA-256", "alice", "wrong"))
    confluent_kafka = pytest.importorskip("confluent_kafka")
    errors: list[Any] = []
    options = confluent(bootstrap, authority, "SCRAM-SHA-256", "alice", "wrong")
    producer = confluent_kafka.Producer({**options, "error_cb": errors.append})
    while not any(error.name() == "_AUTHENTICATION" for error in errors):
        producer.poll(SECONDS_MAX)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_tools_produce_consume_and_set_passwords(bootstrap: str, authority: Authority, tmp_path: Path) -> None:
    def properties(name: str, password: str) -> str:
        path = tmp_path / f"{name}.properties"
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        path.write_text(
            f"bootstrap.servers={bootstrap}\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={authority.path}\n"
            f'sasl.jaas.config={login} required username="{name}" password="{password}";\n'
        )
        return str(path)

    where, tools = ["--bootstrap-server", bootstrap], "org.apache.kafka.tools"
    load = ["--num-records", "2000", "--record-size", "100", "--throughput", "-1"]
    alice = properties("alice", "secret")
    apache_kafka.run(f"{tools}.ProducerPerformance", "--topic", "orders", *load, "--producer.config", alice)
    start = ["--topic", "orders", "--from-beginning", "--max-messages", "2000"]
    printed = apache_kafka.run(f"{tools}.consumer.ConsoleConsumer", *where, *start, "--consumer.config", alice)
    assert len([line for line in printed.splitlines() if len(line) == 100]) == 2000
    change = ["--alter", "--entity-type", "users", "--entity-name", "carol"]
    password = ["--add-config", "SCRAM-SHA-512=[password=new]"]
    root = properties("root", "secret")
    apache_kafka.run("kafka.admin.ConfigCommand", *where, "--command-config", root, *change, *password)
    carol = properties("carol", "new")
    listed = apache_kafka.run(f"{tools}.TopicCommand", *where, "--command-config", carol, "--list")
    assert {"orders", "secrets"} <= set(listed.split())
