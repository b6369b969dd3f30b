"""Records to a STOMP server that does its part, or does it wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from eventlog import InvalidArgumentError, Record, TopicPartition
from eventlog.bridges.endpoints import Outcomes, SinkContext
from eventlog.bridges.message import Origin
from eventlog.bridges.stomp.frames import Frame
from eventlog.bridges.stomp.sink import BATCH_RECORDS_MAX, BATCHES_MAX, StompSink
from eventlog.bridges.systems import make_sink
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError
from tests.support.stomp_server import DISCONNECT, DROP, HANDLE_AND_DISCONNECT, NO_RECEIPT, StompServer

CLASSIC = "ActiveMQ/6.3.1"
ARTEMIS = "ActiveMQ-Artemis/2.40.0 ActiveMQ Artemis Messaging Engine"
ORIGIN = Origin("store", "orders", "to-activemq")
NOTHING = Outcomes([], [])


@pytest.fixture(params=[CLASSIC, ARTEMIS], ids=["classic", "artemis"])
def server(request: pytest.FixtureRequest) -> Iterator[StompServer]:
    with StompServer(request.param) as server:
        yield server


@pytest.fixture
def sink(server: StompServer) -> Iterator[StompSink]:
    sink = sink_to(server)
    yield sink
    sink.close()


def sink_to(server: StompServer, options: str = "", window_records: int = 2000) -> StompSink:
    sink = sink_of(f"stomp://127.0.0.1:{server.port}/queue/orders{options}", window_records)
    sink.open()
    return sink


def sink_of(url: str, window_records: int = 2000, create: str | None = None) -> StompSink:
    sink = make_sink(Url(url), SinkContext(ORIGIN, window_records, 1 << 23, create, lambda url: None))  # type: ignore[arg-type, return-value]
    assert isinstance(sink, StompSink)
    return sink


def records_of(*values: bytes, partition: int = 0) -> list[Record]:
    return [Record("orders", partition, offset, 1000, None, value, ()) for offset, value in enumerate(values)]


def queue_of(server: StompServer) -> str:
    return "/queue/orders" if server.name == CLASSIC else "orders"


def settled(sink: StompSink, records: Iterable[Record]) -> Outcomes:
    """Send records as a bridge does, until each has an outcome."""
    waiting, confirmed, refused = list(records), [], []
    count = len(waiting)
    while len(confirmed) + len(refused) < count:
        room = sink.room()
        sink.send(waiting[:room])
        del waiting[:room]
        outcomes = sink.outcomes(5)
        confirmed += outcomes.confirmed
        refused += outcomes.refused
    return Outcomes(confirmed, refused)


def shipped(sink: StompSink, records: list[Record]) -> Outcomes:
    """Send records as a bridge does, with what is not settled sent again after each lost connection."""
    confirmed: list[Record] = []
    refused = []
    left = list(records)
    while left:
        try:
            sink.send(left[: sink.room()])
            outcomes = sink.outcomes(5)
        except ConnectionLostError:
            sink.close()
            sink.open()
            left = [record for record in records if record not in confirmed and record not in [each.record for each in refused]]
            continue
        confirmed += outcomes.confirmed
        refused += outcomes.refused
        left = [record for record in left if record not in confirmed and record not in [each.record for each in refused]]
    return Outcomes(confirmed, refused)


def sends(server: StompServer) -> list[Frame]:
    return [frame for frame in server.frames if frame.command == "SEND"]


def test_records_are_confirmed_in_order_and_are_there(server: StompServer, sink: StompSink) -> None:
    records = records_of(*(b"%d" % number for number in range(1234)))
    assert settled(sink, records).confirmed == records
    assert server.bodies(queue_of(server)) == [record.value for record in records]


def test_the_server_is_named(server: StompServer, sink: StompSink) -> None:
    assert sink.system == ("activemq" if server.name == CLASSIC else "artemis")
    assert sink.label == f"stomp://127.0.0.1:{server.port}/queue/orders"


def test_nothing_is_sent_before_a_batch_is_full_or_nothing_else_follows(server: StompServer, sink: StompSink) -> None:
    sink.send(records_of(b"one", b"two"))
    assert sink.outcomes(0) == NOTHING
    assert sends(server) == []
    assert len(settled(sink, records_of(b"three")).confirmed) >= 1
    assert server.bodies(queue_of(server)) == [b"one", b"two", b"three"]


def test_no_more_is_under_way_than_two_batches(server: StompServer, sink: StompSink) -> None:
    server.fault = lambda frame: NO_RECEIPT
    room = sink.room()
    assert room == BATCH_RECORDS_MAX * BATCHES_MAX
    sink.send(records_of(*[b"x"] * room))
    assert sink.outcomes(0.01) == NOTHING
    assert sink.room() == 0


def test_a_small_window_is_kept(server: StompServer) -> None:
    sink = sink_to(server, window_records=7)
    sink.send(records_of(b"one"))
    assert sink.room() == 6
    sink.close()


def test_classic_gets_transactions_and_artemis_ids_and_a_kind(server: StompServer, sink: StompSink) -> None:
    settled(sink, records_of(b"one", b"two"))
    first, second = sends(server)
    commands = [frame.command for frame in server.frames]
    if server.name == CLASSIC:
        assert commands == ["CONNECT", "BEGIN", "SEND", "SEND", "COMMIT"]
        assert (first.header("_AMQ_DUPL_ID"), first.header("receipt"), second.header("receipt")) == (None, None, None)
        assert first.header("destination") == "/queue/orders"
    else:
        assert commands == ["CONNECT", "SEND", "SEND"]
        assert [frame.header("_AMQ_DUPL_ID") for frame in (first, second)] == ["store/orders/0/0", "store/orders/0/1"]
        assert first.header("receipt") is None and second.header("receipt") is not None
        assert (first.header("destination"), first.header("destination-type")) == ("orders", "ANYCAST")
    assert {frame.header("persistent") for frame in (first, second)} == {"true"}


def test_an_id_of_the_record_is_never_what_artemis_drops_messages_by() -> None:
    with StompServer(ARTEMIS) as server:
        sink = sink_to(server)
        settled(sink, [record._replace(headers=(("message-id", b"same"),)) for record in records_of(b"one", b"two")])
        assert len({frame.header("_AMQ_DUPL_ID") for frame in sends(server)}) == 2
        assert [frame.header("eventlog-id") for frame in sends(server)] == ["same", "same"]
        sink.close()


def test_text_is_sent_as_text_if_wanted(server: StompServer) -> None:
    sink = sink_to(server, "?text=yes")
    settled(sink, records_of(b"plain", b"\xff", b"a\0b"))
    assert [frame.header("content-length") for frame in sends(server)] == [None, "1", "3"]
    sink.close()


@pytest.mark.parametrize("fault", [DISCONNECT, HANDLE_AND_DISCONNECT, "cannot do that now"])
@pytest.mark.parametrize("command", ["BEGIN", "SEND", "COMMIT"])
def test_a_lost_connection_loses_no_record(server: StompServer, sink: StompSink, fault: str, command: str) -> None:
    """At each of the first frames of a kind, the connection ends."""
    ends = iter(range(3))
    server.fault = lambda frame: fault if frame.command == command and next(ends, None) is not None else None
    records = records_of(*(b"%d" % number for number in range(20)))
    outcomes = shipped(sink, records)
    settled_records = [*outcomes.confirmed, *(each.record for each in outcomes.refused)]
    assert sorted(settled_records) == records
    assert {record.value for record in outcomes.confirmed} <= set(server.bodies(queue_of(server)))


def test_a_receipt_that_another_overtakes_counts_as_lost(server: StompServer, sink: StompSink) -> None:
    lost = iter(range(1))
    server.fault = lambda frame: NO_RECEIPT if frame.header("receipt") and next(lost, None) is not None else None
    with pytest.raises(ConnectionLostError, match="without the one before it"):
        settled(sink, records_of(*[b"x"] * BATCH_RECORDS_MAX * BATCHES_MAX))


def test_a_transaction_of_which_nothing_came_is_not_confirmed(server: StompServer, sink: StompSink) -> None:
    server.fault = lambda frame: DROP if frame.command in ("COMMIT", "SEND") else None
    sink.send(records_of(b"one", b"two"))
    assert sink.outcomes(0.01) == NOTHING


def test_a_record_that_the_server_does_not_take_is_refused_and_no_other(server: StompServer, sink: StompSink) -> None:
    server.fault = lambda frame: "this one is bad" if frame.command == "SEND" and b"bad" in frame.body else None
    records = records_of(*(b"bad" if number in (3, 17) else b"%d" % number for number in range(30)))
    outcomes = shipped(sink, records)
    assert [(each.record.offset, "this one is bad" in each.reason) for each in outcomes.refused] == [(3, True), (17, True)]
    assert sorted(record.offset for record in outcomes.confirmed) == [each for each in range(30) if each not in (3, 17)]
    assert b"bad" not in server.bodies(queue_of(server))
    assert sink.room() > 1


def test_a_server_without_room_refuses_no_record(server: StompServer, sink: StompSink) -> None:
    complaints = iter(['Address "orders" is full'] * 3)
    server.fault = lambda frame: next(complaints, None) if frame.command == "SEND" else None
    records = records_of(b"one", b"two")
    assert shipped(sink, records) == Outcomes(records, [])


def test_a_missing_right_ends_the_bridge(server: StompServer, sink: StompSink) -> None:
    server.fault = lambda frame: "User: ann does not have permission='SEND'" if frame.command == "SEND" else None
    with pytest.raises(BridgeError, match="permission='SEND'"):
        shipped(sink, records_of(b"one"))


def test_classic_is_not_sent_a_header_that_ends_the_connection() -> None:
    with StompServer(CLASSIC) as server:
        sink = sink_to(server)
        (good, large, many) = records_of(b"good", b"large", b"many")
        large = large._replace(headers=(("colour", b"x" * 20_000),))
        many = many._replace(headers=tuple((f"header {number}", b"x") for number in range(1000)))
        outcomes = settled(sink, [good, large, many])
        assert (outcomes.confirmed, [each.record for each in outcomes.refused]) == ([good], [large, many])
        assert "'colour' is longer than the 10240 bytes" in outcomes.refused[0].reason
        assert server.bodies("/queue/orders") == [b"good"]
        sink.close()


def test_records_of_a_partition_that_was_taken_away_are_forgotten(server: StompServer, sink: StompSink) -> None:
    mine, taken = records_of(b"mine"), records_of(b"taken", partition=1)
    assert sink.assign({TopicPartition("orders", 0): 0, TopicPartition("orders", 1): 0}) == {}
    sink.send([*taken, *mine])
    sink.revoke([TopicPartition("orders", 1)])
    assert sink.room() == BATCH_RECORDS_MAX * BATCHES_MAX - 1
    assert sink.outcomes(5) == Outcomes(mine, [])
    assert server.bodies(queue_of(server)) == [b"mine"]


def test_a_closed_sink_raises_what_a_bridge_can_handle(server: StompServer, sink: StompSink) -> None:
    sink.close()
    sink.close()
    with pytest.raises(ConnectionLostError, match="not connected"):
        sink.outcomes(0)


@pytest.mark.parametrize(
    "url, complaint",
    [
        ("stomp://localhost/orders", "must be like stomp://HOST:PORT/queue/NAME"),
        ("stomp://localhost/queue/", "must be like"),
        ("stomp:/queue/orders", "must be like"),
        ("stomp://localhost/queue/orders?prefetch=1", "unknown option 'prefetch'"),
        ("stomp://localhost/queue/orders?text=maybe", "text of .* must be yes or no"),
        ("stomp://localhost/queue/orders?heartbeat=-1", "heartbeat of .* must be seconds"),
        ("stomps://localhost/queue/orders?cafile=/nowhere.pem", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_before_anything_is_connected(url: str, complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        sink_of(url)


def test_a_kind_of_queue_cannot_be_chosen() -> None:
    with pytest.raises(InvalidArgumentError, match="'quorum' cannot be chosen"):
        sink_of("stomp://localhost/queue/orders", create="quorum")


def test_another_server_is_used_if_one_is_down(server: StompServer, tmp_path: Path) -> None:
    for _ in range(4):
        sink = sink_of(f"stomp://127.0.0.1:1,127.0.0.1:{server.port}/queue/orders")
        sink.open()
        sink.close()
