"""Encrypted connections: the same answers in the same order, the same limits, and clients that do it wrong."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog import EventLog, InvalidArgumentError
from eventlog.serve.broker import Settings
from eventlog.serve.connection import Limits
from eventlog.serve.security.tls import TlsFiles, new_context
from tests.serve.batches import batch
from tests.serve.certificates import Authority
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(log: EventLog, authority: Authority) -> Iterator[RunningServer]:
    with running_server(log, Settings(tls=authority.files)) as server:
        yield server


def test_large_requests_and_answers_arrive_whole_and_in_order(server: RunningServer, authority: Authority) -> None:
    values = [bytes([number]) * 1_000_000 for number in range(4)]
    with RawClient(server.address, authority.context()) as client:
        assert [client.produce("events", batch([value])).base_offset for value in values] == [0, 1, 2, 3]
        sent = [client.send_fetch("events", offset, partition_max_bytes=2**21) for offset in [0, 1, 2, 3] * 4]
        for number, each in enumerate(sent):
            records = client.receive(*each).responses[0].partitions[0].records
            assert values[number % 4] in bytes(records)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls(server: RunningServer, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    with RawClient(server.address, context) as client:
        assert client.metadata().topics


def test_many_small_requests_in_one_piece(server: RunningServer, authority: Authority) -> None:
    with RawClient(server.address, authority.context()) as client:
        sent = [client.send("Metadata", 9, topics=None) for _ in range(3000)]
        assert all(client.receive(*each).topics for each in sent)


def test_what_a_client_sends_before_it_leaves_is_appended(server: RunningServer, authority: Authority, log: EventLog) -> None:
    client = RawClient(server.address, authority.context())
    assert client.metadata().topics
    data = batch([b"x" * 100_000])
    for _ in range(20):
        client.send("Produce", 9, acks=0, timeout_ms=1000, topic_data=produced(data))
    assert isinstance(client.socket, ssl.SSLSocket)
    client.socket.unwrap().close()
    assert log.partition("events", 0).wait(19, 30)
    assert log.partition("events", 0).end_offset == 20


def produced(data: bytes) -> list[object]:
    from eventlog.serve.protocol.messages import kind

    partition = kind("ProduceRequest", "PartitionProduceData")(index=0, records=data)
    return [kind("ProduceRequest", "TopicProduceData")(name="events", partition_data=[partition])]


def test_only_clients_with_a_certificate_are_admitted_if_that_is_wanted(log: EventLog, authority: Authority) -> None:
    with running_server(log, Settings(tls=authority.files_with_clients)) as server:
        with RawClient(server.address, authority.context(is_known=True)) as client:
            assert client.metadata().topics
        with (
            pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
            RawClient(server.address, authority.context()) as client,
        ):
            client.metadata()


def test_a_certificate_of_another_authority_is_refused(log: EventLog, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = authority.files._replace(client_authorities=str(Authority(tmp_path / "other").path))
    with (
        running_server(log, Settings(tls=files)) as server,
        pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
        RawClient(server.address, authority.context(is_known=True)) as client,
    ):
        client.metadata()


def test_a_client_that_does_not_encrypt_is_told_in_one_line(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    with RawClient(server.address) as client:
        client.send("Metadata", 9, topics=None)
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(1000):  # an alert
            pass
    lines = [record for record in caplog.records if record.name == "eventlog.serve"]
    assert [(record.levelno, record.exc_info) for record in lines] == [(logging.WARNING, None)]
    assert "closed: TLS: " in lines[0].getMessage()


def test_a_record_that_was_changed_on_its_way_ends_the_connection(server: RunningServer, authority: Authority) -> None:
    client = RawClient(server.address, authority.context())
    assert client.metadata().topics
    assert isinstance(client.socket, ssl.SSLSocket)
    with socket.socket(fileno=client.socket.detach()) as bare:
        bare.settimeout(30)
        bare.sendall(b"\x17\x03\x03\x00\x30" + b"\0" * 48)
        while bare.recv(1000):
            pass


def test_a_handshake_that_takes_too_long_is_given_up(log: EventLog, authority: Authority) -> None:
    limits = Limits(newcomer_seconds=0.05)
    with (
        running_server(log, Settings(tls=authority.files), limits) as server,
        RawClient(server.address, authority.context()) as client,
        RawClient(server.address) as slow,
    ):
        slow.socket.sendall(b"\x16\x03\x01\x02\x00")
        assert slow.receive_frame() is None
        assert client.metadata().topics


def test_clients_that_never_shake_hands_keep_nobody_out(log: EventLog, authority: Authority) -> None:
    limits = Limits(connections_max=2, newcomers_max=5)
    with (
        running_server(log, Settings(tls=authority.files), limits) as server,
        RawClient(server.address, authority.context()) as early,
    ):
        assert early.metadata().topics
        slow = [RawClient(server.address) for _ in range(50)]
        with RawClient(server.address, authority.context()) as late:
            assert late.metadata().topics
        assert early.metadata().topics
        for each in slow[:40]:
            assert each.receive_frame() is None
        for each in slow:
            each.socket.close()


def test_one_more_connection_than_allowed_is_refused(log: EventLog, authority: Authority) -> None:
    with (
        running_server(log, Settings(tls=authority.files), Limits(connections_max=1)) as server,
        RawClient(server.address, authority.context()) as first,
    ):
        assert first.metadata().topics
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            RawClient(server.address, authority.context()).metadata()
        assert first.metadata().topics


def test_a_client_that_takes_no_answers_loses_its_connection(
    log: EventLog, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log.partition("events", 0).append(b"x" * 1_000_000)
    limits = Limits(stalled_seconds=0.1)
    with (
        running_server(log, Settings(tls=authority.files), limits) as server,
        RawClient(server.address, authority.context()) as client,
    ):
        for _ in range(50):
            client.send_fetch("events", 0)
        with RawClient(server.address, authority.context()) as other:
            while not any("stuck" in record.getMessage() for record in caplog.records):
                assert other.metadata().topics


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    for files, named in [
        (TlsFiles(str(tmp_path / "missing"), authority.files.key), "missing"),
        (TlsFiles(authority.files.certificate, str(tmp_path / "missing")), "missing"),
        (TlsFiles(str(wrong), authority.files.key), "PEM"),
        (authority.files._replace(client_authorities=str(wrong)), "wrong.pem"),
    ]:
        with pytest.raises(InvalidArgumentError, match=named):
            new_context(files)
