"""What bridges make of messages: identities, headers, and URLs whose secrets nobody sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import BridgeError, EventLogError, InvalidArgumentError
from eventlog.bridges import systems
from eventlog.bridges.endpoints import SinkContext
from eventlog.bridges.message import (
    Message,
    Origin,
    Position,
    Properties,
    headers_of,
    identity_of,
    properties_of,
    record_headers,
    without_bookkeeping,
)
from eventlog.bridges.url import Url

ORIGIN = Origin("0123", "orders", "to-there")
CONTEXT = SinkContext(ORIGIN, 10, 1000, None, lambda path: pytest.fail(path))
TEXT = st.text()
PROPERTIES = st.builds(
    Properties,
    **dict.fromkeys(Properties._fields[:7], st.none() | TEXT),  # type: ignore[arg-type]
    priority=st.none() | st.integers(0, 9),
    expiration=st.none() | st.integers(0, 2**48),
)
HEADERS = st.lists(st.tuples(TEXT, st.none() | st.binary())).map(tuple)


@given(PROPERTIES)
def test_properties_survive_as_headers(properties: Properties) -> None:
    assert properties_of(headers_of(properties)) == (properties, ())


@pytest.mark.parametrize(
    "header",
    [("priority", b"10"), ("priority", b"-1"), ("priority", b"01"), ("expiration", b"soon"), ("type", b"\xff"), ("type", None)],
)
def test_a_header_with_a_property_s_name_but_not_its_form_stays_a_header(header: tuple[str, bytes | None]) -> None:
    assert properties_of([header]) == (Properties(), (header,))


def test_a_property_that_is_there_twice_is_a_property_once_and_a_header_once() -> None:
    assert properties_of([("type", b"a"), ("type", b"b")]) == (Properties(type="a"), (("type", b"b"),))


@given(st.lists(st.none() | st.binary(max_size=3)), st.lists(st.none() | st.binary(max_size=3)))
def test_only_equal_contents_have_one_identity(first: list[bytes | None], second: list[bytes | None]) -> None:
    assert (identity_of(*first) == identity_of(*second)) == (first == second)


@given(HEADERS)
def test_what_a_collecting_bridge_notes_does_not_travel_on(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    by_id = record_headers(Message(b"v", headers=headers, identity=b"i" * 16))
    by_position = record_headers(Message(b"v", headers=headers, position=Position("kafka:c/orders/0", 7)))
    assert by_id == (*headers, ("eventlog.id", b"i" * 16))
    assert by_position[-2:] == (("eventlog.source", b"kafka:c/orders/0"), ("eventlog.offset", b"7"))
    assert without_bookkeeping(by_id) == without_bookkeeping(by_position) == without_bookkeeping(headers)


SECRET = "s3cret"


@pytest.mark.parametrize(
    "text",
    [
        f"amqp://guest:{SECRET}@localhost:5672/%2F?queue=hello",
        f"kafka://user:{SECRET}@one:9092,two,[::1]:9094/orders?sasl.password={SECRET}&ssl.key.password={SECRET}",
        f"stomp://localhost/queue/orders?passcode={SECRET}",
    ],
)
def test_a_url_is_shown_without_its_secrets(text: str) -> None:
    url = Url(text)
    assert SECRET not in f"{url} {url!r}"
    with pytest.raises(InvalidArgumentError) as error:
        url.check_options({"nothing"})
    assert SECRET not in str(error.value)


def test_the_pieces_of_a_url_are_decoded() -> None:
    url = Url("kafka://me%40home:p%3Aw@one:9092,two,[::1]:9094/or%2Fders?a=1%202&b=#top%20ic")
    assert (url.scheme, url.user, url.password, url.fragment) == ("kafka", "me@home", "p:w", "top ic")
    assert url.hosts == (("one", 9092), ("two", None), ("::1", 9094))
    assert (url.path, url.raw_path, dict(url.options)) == ("/or/ders", "/or%2Fders", {"a": "1 2", "b": ""})


def test_a_password_given_separately_counts() -> None:
    assert Url("amqp://guest:old@localhost/", "new").password == "new"
    assert Url("amqp://localhost/", "new").password == "new"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_a_url_with_a_wrong_port_is_refused_without_showing_it(port: str) -> None:
    with pytest.raises(InvalidArgumentError) as error:
        Url(f"amqp://guest:{SECRET}@localhost:{port}/")
    assert SECRET not in str(error.value)


def test_an_option_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="'queue' twice"):
        Url("amqp://localhost/?queue=a&queue=b")


@pytest.mark.parametrize("text", ["http://localhost/", "localhost", ""])
def test_a_scheme_without_a_bridge_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="amqp:, amqps:, stomp:"):
        systems.make_sink(Url(text), CONTEXT)


def test_a_client_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pika", None)
    with pytest.raises(BridgeError, match=r"pip install 'eventlog-store\[rabbitmq\]'") as error:
        systems.make_sink(Url(f"amqp://guest:{SECRET}@localhost/"), CONTEXT)
    assert SECRET not in str(error.value)
    assert isinstance(error.value, EventLogError)
