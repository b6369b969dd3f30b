"""The URL of a cluster, what is wrong with one, and a program that lacks the client library."""

from __future__ import annotations

import sys

import pytest

import eventlog
from eventlog import InvalidArgumentError, StoreOpenError
from eventlog.kafka.address import PASSWORD_VARIABLE, parse_address


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("url", "brokers"),
    [
        ("kafka://one", "one:9092"),
        ("kafka://one:1234/", "one:1234"),
        ("kafka://one,two:99", "one:9092,two:99"),
        ("kafka://[::1]:7", "[::1]:7"),
        ("kafka://[::1]", "[::1]:9092"),
    ],
)
def test_brokers_have_hosts_and_ports(url: str, brokers: str) -> None:
    assert parse_address(url).settings["bootstrap.servers"] == brokers


def test_parameters_are_settings_of_the_client() -> None:
    address = parse_address("kafka://one?security.protocol=SSL&ssl.ca.location=/etc/a%20b.pem&delivery.timeout.ms=500")
    assert (address.settings["security.protocol"], address.settings["ssl.ca.location"]) == ("SSL", "/etc/a b.pem")
    assert (address.request_seconds, address.delivery_seconds) == (10, 0.5)


def test_user_and_password_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    address = parse_address("kafka://us%40er:s%3Aecret@one?ssl.key.password=hidden")
    assert (address.settings["sasl.username"], address.settings["sasl.password"]) == ("us@er", "s:ecret")
    assert repr(address) == address.name == "kafka://one:9092"
    monkeypatch.setenv(PASSWORD_VARIABLE, "of the environment")
    assert parse_address("kafka://user@one").settings["sasl.password"] == "of the environment"
    assert parse_address("kafka://user:given@one").settings["sasl.password"] == "given"


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka://user:secret@",
        "kafka://user:secret@:9092",
        "kafka://user:secret@one:port",
        "kafka://user:secret@one:0",
        "kafka://user:secret@one,",
        "kafka://user:secret@one/topic",
        "kafka://user:secret@one#part",
        "kafka://user:secret@one?secret",
        "kafka://user:secret@one?acks=0&sasl.password=secret",
        "kafka://user:secret@one?group.id=mine",
        "kafka://user:secret@one?socket.timeout.ms=soon",
        "kafka://user:secret@one?message.timeout.ms=0",
    ],
)
def test_a_url_without_sense_is_refused_and_shows_no_secret(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_without_the_client_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(StoreOpenError, match=r"pip install 'eventlog-store\[kafka\]'"):
        eventlog.open("kafka://127.0.0.1:9092")
