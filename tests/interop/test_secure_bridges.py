"""Bridges, mirrors and logs over TLS and with logins, to RabbitMQ and Apache Kafka themselves; and what they say if either is
refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

import eventlog
from eventlog import BridgeError, EventLog, EventLogError, UnavailableError
from eventlog.bridges.bridge import Bridge
from tests.interop import apache_kafka
from tests.interop.kafka_clusters import KafkaCluster
from tests.serve.certificates import Authority

USER, PASSWORD, WRONG = "ann", "s3cret-of-ann", "wr0ng-of-ann"
VALUES = [b"%d" % number for number in range(50)]
SECONDS_MAX = 60


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders")
        log.partition("orders", 0).append_many(VALUES)
        log.create_topic("back")
        yield log


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has nothing to do with the servers."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def assert_goes_there_and_back(log: EventLog, url: str, password: str | None = None, **options: Any) -> None:
    log.ship("orders", url, group="out", password=password, **options).run(until_idle=0)
    with log.collect("back", url, password=password, identity="none" if url.startswith("amqp") else None):
        assert log.partition("back", 0).wait(len(VALUES) - 1, SECONDS_MAX)
    assert list(log.partition("back", 0).values()) == VALUES


def assert_ends_with(
    complaint: str, begin: Callable[[], object], *secrets: str, kind: type[EventLogError] = BridgeError
) -> None:
    """It fails with such an error, in which no secret stands, nor in its causes."""
    with pytest.raises(kind, match=complaint) as caught:
        begin()
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not any(secret in str(chain) for secret in secrets)
        chain = chain.__cause__


def bridges(log: EventLog, url: str, password: str | None = None) -> list[Bridge]:
    return [log.ship("orders", url, group="out", password=password), log.collect("back", url, password=password)]


# --- RabbitMQ --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rabbitmq(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that speaks TLS only to those that ask for it."""
    pytest.importorskip("pika")
    from tests.interop.rabbitmq import server

    problem = server.why_not()
    if problem is not None:
        if server.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    port, _ = apache_kafka.free_ports()
    files = authority.files
    listener = f"""listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {authority.path}
ssl_options.certfile = {files.certificate}
ssl_options.keyfile = {files.key}
"""
    directory = tmp_path_factory.mktemp("rabbitmq")
    with server.Server(directory, server.CONFIGURATION + listener).running() as running:
        running.control("add_user", USER, PASSWORD)
        running.control("set_permissions", USER, ".*", ".*", ".*")
        yield f"127.0.0.1:{port}"


@pytest.mark.rabbitmq
def test_records_go_to_rabbitmq_and_back_over_tls(log: EventLog, rabbitmq: str, authority: Authority) -> None:
    url = f"amqps://{USER}@{rabbitmq}/%2F?queue=encrypted&cacertfile={authority.path}"
    assert_goes_there_and_back(log, url, PASSWORD, create="classic")


@pytest.mark.rabbitmq
def test_a_login_that_rabbitmq_refuses_ends_a_bridge(log: EventLog, rabbitmq: str, authority: Authority) -> None:
    url = f"amqps://{USER}@{rabbitmq}/%2F?queue=encrypted&cacertfile={authority.path}"
    for bridge in bridges(log, url, WRONG):
        assert_ends_with("RabbitMQ refuses the login", bridge.run, WRONG)
        assert WRONG not in str(bridge.progress())


@pytest.mark.rabbitmq
def test_a_certificate_of_rabbitmq_that_nobody_vouches_for_ends_a_bridge(
    log: EventLog, rabbitmq: str, stranger: Authority
) -> None:
    url = f"amqps://{USER}@{rabbitmq}/%2F?queue=encrypted&cacertfile={stranger.path}"
    for bridge in bridges(log, url, PASSWORD):
        assert_ends_with("certificate", bridge.run, PASSWORD)


# --- Kafka -----------------------------------------------------------------------------------------------------


class SecureKafka(NamedTuple):
    """A broker: the addresses for clients without a login, over TLS, and over TLS with a login."""

    plain: KafkaCluster
    encrypted: str
    with_login: str


@pytest.fixture(scope="module")
def kafka_over_tls(kafka: None, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    pytest.importorskip("confluent_kafka")
    directory = tmp_path_factory.mktemp("kafka")
    encrypted, with_login = (f"127.0.0.1:{port}" for port in apache_kafka.free_ports())
    settings = f"""ssl.keystore.type=PEM
ssl.keystore.location={key_store(authority, directory)}
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
    user = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
    broker = apache_kafka.Broker(
        directory, listeners=(f"SSL://{encrypted}", f"SASL_SSL://{with_login}"), settings=settings,
        formatting=("--add-scram", user),
    )  # fmt: skip
    with broker.running():
        cluster = KafkaCluster(broker.address)
        cluster.await_groups()
        yield SecureKafka(cluster, encrypted, with_login)


def key_store(authority: Authority, directory: Path) -> Path:
    """A server's key and certificates in one file, as Java reads them."""
    key = load_pem_private_key(Path(authority.files.key).read_bytes(), None)
    path = directory / "server.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with path.open("ab") as file:
        file.write(Path(authority.files.certificate).read_bytes())
    return path


def query(authority: Authority, **settings: str) -> str:
    return urlencode({"ssl.ca.location": str(authority.path), **settings}, safe="/")


def login(authority: Authority) -> str:
    return query(authority, **{"sasl.mechanism": "SCRAM-SHA-256"})


@pytest.mark.kafka
def test_records_go_to_kafka_and_back_over_tls(log: EventLog, kafka_over_tls: SecureKafka, authority: Authority) -> None:
    settings = query(authority, **{"security.protocol": "SSL"})
    assert_goes_there_and_back(log, f"kafka://{kafka_over_tls.encrypted}/encrypted?{settings}", create="1")


@pytest.mark.kafka
def test_records_go_to_kafka_and_back_with_a_login(log: EventLog, kafka_over_tls: SecureKafka, authority: Authority) -> None:
    url = f"kafka://{USER}@{kafka_over_tls.with_login}"
    assert_goes_there_and_back(log, f"{url}/with-login?{login(authority)}", PASSWORD, create="1")
    mirror = log.mirror("orders", to=f"{url}?{login(authority)}", password=PASSWORD)
    mirror.run(once=True)
    assert mirror.progress().records == len(VALUES)
    assert kafka_over_tls.plain.values("orders") == VALUES


@pytest.mark.kafka
def test_a_cluster_is_a_log_over_tls_with_a_login(kafka_over_tls: SecureKafka, authority: Authority) -> None:
    settings = query(authority, **{"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-256"})
    with eventlog.open(f"kafka://{USER}:{PASSWORD}@{kafka_over_tls.with_login}?{settings}") as log:
        log.create_topic("opened")
        with log.producer() as producer:
            assert producer.send("opened", b"value").offset == 0
        with log.consumer("opened", group="readers") as consumer:
            assert [record.value for record in consumer.poll(timeout=SECONDS_MAX)] == [b"value"]


@pytest.mark.kafka
def test_a_login_that_kafka_refuses_ends_a_bridge(log: EventLog, kafka_over_tls: SecureKafka, authority: Authority) -> None:
    url = f"kafka://{USER}@{kafka_over_tls.with_login}"
    made = [
        *bridges(log, f"{url}/with-login?{login(authority)}", WRONG),
        log.mirror("*", f"{url}?{login(authority)}", password=WRONG),
        log.mirror("*", to=f"{url}?{login(authority)}", password=WRONG),
    ]
    for bridge in made:
        assert_ends_with("[Aa]uthentication", bridge.run, WRONG)
        assert WRONG not in str(bridge.progress())


@pytest.mark.kafka
def test_a_login_that_kafka_refuses_opens_no_log(kafka_over_tls: SecureKafka, authority: Authority) -> None:
    settings = query(authority, **{"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-256"})
    url = f"kafka://{USER}:{WRONG}@{kafka_over_tls.with_login}?{settings}&socket.timeout.ms=5000"
    assert_ends_with("[Aa]uthentication", lambda: eventlog.open(url), WRONG, kind=UnavailableError)


@pytest.mark.kafka
def test_a_certificate_of_kafka_that_nobody_vouches_for_ends_a_bridge(
    log: EventLog, kafka_over_tls: SecureKafka, stranger: Authority
) -> None:
    settings = query(stranger, **{"security.protocol": "SSL"})
    for bridge in bridges(log, f"kafka://{kafka_over_tls.encrypted}/encrypted?{settings}"):
        assert_ends_with("certificate", bridge.run)
