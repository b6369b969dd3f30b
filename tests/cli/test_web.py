"""`eventlog web`, by plain HTTP; `tests/interop/test_web_in_a_browser.py` uses a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import eventlog
from eventlog import TopicPartition
from tests.cli.command_line import SECONDS_MAX, CommandLine
from tests.unit.test_read_only import state

_TOKEN = "a-secret-of-some-length"
_HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e"


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Message
    text: str

    def json(self) -> dict[str, Any]:
        """The object that it is."""
        found: dict[str, Any] = json.loads(self.text)
        return found


class Web:
    """A running `eventlog web`."""

    def __init__(self, command_line: CommandLine, *options: str | Path) -> None:
        self.process = command_line.start("web", "--listen", "0", "--interval", "0.1", "--json", *options)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]
        self.port = urllib.parse.urlsplit(self.url).port or 0

    def get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **fields: object) -> Answer:
        """Ask for something."""
        query = f"?{urllib.parse.urlencode(fields)}" if fields else ""
        request = urllib.request.Request(self.url + path.lstrip("/") + query, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        """The samples as they come."""
        with urllib.request.urlopen(self.url + "api/events", timeout=SECONDS_MAX) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            yield (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))

    def raw(self, request: bytes) -> bytes:
        """What is answered to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS_MAX) as connection:
            connection.sendall(request)
            answer = b""
            while data := connection.recv(65536):
                answer += data
            return answer


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Topic `orders` with two partitions and three records in the first, of which the group `billing` has committed one."""
    command_line = CommandLine(tmp_path_factory.mktemp("web") / "store")
    with eventlog.open(command_line.store) as log:
        log.create_topic("orders", partitions=2)
        headers = [[("trace", b"1"), ("trace", None)], None, None]
        log.partition("orders", 0).append_many([b"first", b"\xff\x00", None], headers=headers)
        log.create_group("billing").reset({TopicPartition("orders", 0): 1})
    yield Web(command_line)
    command_line.kill_all()


def test_the_page_is_whole_and_runs_nothing_but_its_own_script(web: Web) -> None:
    page = web.get("/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["Content-Security-Policy"]
    for kind in ("script", "style"):
        [text] = re.findall(rf"<{kind}>(.*?)</{kind}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)  # nothing is loaded from elsewhere
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page.text)
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert web.get("/", "HEAD").text == ""


def test_the_name_of_a_store_is_no_markup(shop: CommandLine) -> None:
    named = CommandLine(shop.store.rename(shop.store.with_name("<b>{{script}}'\"")))
    try:
        page = Web(named).get("/").text
        assert "&lt;b&gt;" in page and "<b>{{" not in page and page.count("<script>") == 1
    finally:
        named.kill_all()


def test_samples_come_as_events_the_first_one_with_the_past(shop: CommandLine) -> None:
    web = Web(shop)
    with web.events() as samples:
        first = next(samples)
        assert [topic["name"] for topic in first["topics"]] == ["orders"]
        assert first["groups"][0]["lag"] == 2
        with eventlog.open(shop.store) as log:
            log.partition("orders", 0).append(b"x")
        sample = next(sample for sample in samples if sample["groups"][0]["lag"] == 3)
        assert sample["groups"][0]["lags"] == [3]
    with web.events() as samples:
        assert next(samples)["groups"][0]["lags"][-1] == 3


def test_topics_groups_and_records_are_json(web: Web) -> None:
    topic = web.get("/api/topic", topic="orders").json()
    assert [(each["start_offset"], each["end_offset"]) for each in topic["partitions"]] == [(0, 3), (0, 0)]
    assert topic["groups"] == [{"group": "billing", "lag": 2}]
    [progress] = web.get("/api/group", group="billing").json()["partitions"]
    assert (progress["committed"], progress["end"], progress["lag"]) == (1, 3, 2)
    page = web.get("/api/records", topic="orders", partition=0).json()
    assert [record["offset"] for record in page["records"]] == [0, 1, 2]
    assert page["records"][1]["value"]["text"] == "\\xff\\x00" and page["records"][2]["value"] is None
    page = web.get("/api/records", **{"topic": "orders", "partition": 0, "from": 1, "count": 1}).json()
    assert ([record["offset"] for record in page["records"]], page["next_offset"]) == ([1], 2)
    page = web.get("/api/records", topic="orders", partition=0, before=1).json()
    assert [record["offset"] for record in page["records"]] == [0]
    page = web.get("/api/search", topic="orders", partition=0, text="FIR").json()
    assert [record["offset"] for record in page["records"]] == [0]
    record = web.get("/api/record", topic="orders", partition=0, offset=0).json()["record"]
    assert record["headers"][0] == ["trace", {"text": "1", "size_bytes": 1, "is_cut": False, "is_json": False}]
    assert web.get("/api/record", topic="orders", partition=0, offset=9).json() == {"record": None}


def test_what_a_record_holds_is_escaped_and_cut(shop: CommandLine) -> None:
    web = Web(shop)
    with eventlog.open(shop.store) as log:
        log.partition("orders", 1).append(_HOSTILE.encode())
        log.partition("orders", 1).append(b"<" * 1_000_000)
    answer = web.get("/api/records", topic="orders", partition=1)
    assert len(answer.text) < 10_000
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    hostile, giant = answer.json()["records"]
    assert hostile["value"]["text"] == "</script><img src=x onerror=alert(1)>\\x1b[2J\\u202e"
    assert (giant["value"]["size_bytes"], giant["value"]["is_cut"]) == (1_000_000, True)
    assert len(web.get("/api/record", topic="orders", partition=1, offset=1).text) < 100_000


@pytest.mark.parametrize(
    ("path", "fields", "status", "reason"),
    [
        ("/nowhere", {}, 404, "the page is at /"),
        ("/api/nothing", {}, 404, "nothing of this name"),
        ("/api/topic", {"topic": "nothing"}, 404, "nothing"),
        ("/api/topic", {}, 400, "topic is missing"),
        ("/api/topic", {"topic": "../.."}, 400, "topic name"),
        ("/api/group", {"group": "nothing"}, 404, "nothing"),
        ("/api/records", {"topic": "orders", "partition": 7}, 404, "7"),
        ("/api/records", {"topic": "orders", "partition": "-1"}, 400, "must be a number"),
        ("/api/records", {"topic": "orders", "partition": 0, "count": 100_000}, 400, "from 1 to 200"),
        ("/api/records", {"topic": "orders", "partition": 0, "from": "soon"}, 400, "is not a time"),
        ("/api/search", {"topic": "orders", "partition": 0}, 400, "text is missing"),
        ("/api/record", {"topic": "orders", "partition": 0, "offset": "9" * 30}, 400, "must be a number"),
    ],
)
def test_what_cannot_be_answered_is_said(web: Web, path: str, fields: dict[str, Any], status: int, reason: str) -> None:
    answer = web.get(path, **fields)
    assert answer.status == status
    assert reason in answer.json()["error"]


def test_nothing_is_changed_and_nothing_can_be(shop: CommandLine) -> None:
    before = state(shop.store)
    web = Web(shop)
    with web.events() as samples:
        next(samples)
    assert web.get("/api/records", topic="orders", partition=0).status == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert web.get("/api/group", method, group="billing").status == 501
    web.process.terminate()
    assert web.process.wait(SECONDS_MAX) == 0
    assert state(shop.store) == before


# --- who may connect ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:{port}", "127.0.0.1.attacker.example", ""])
def test_a_name_that_somebody_else_gave_this_machine_is_refused(web: Web, host: str) -> None:
    for path in ("/", "/api/topic?topic=orders", "/api/events"):
        answer = web.raw(f"GET {path} HTTP/1.0\r\nHost: {host.format(port=web.port)}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.0 403 ") and b"orders" not in answer


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]", "[::1]:80"])
def test_this_machine_has_several_names(web: Web, host: str) -> None:
    assert web.raw(f"HEAD / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.0 200 ")


def test_other_addresses_need_a_token(shop: CommandLine, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "[::]", "192.0.2.1", "example.com"):
        assert "give a token" in shop.error("web", "--listen", f"{host}:0", status=2)
    (tmp_path / "token").write_text("short\n")
    assert "at least 16" in shop.error("web", "--listen", "0.0.0.0:0", "--token-file", tmp_path / "token", status=2)


def test_who_has_the_token_sees_the_store(shop: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{_TOKEN}\n")
    web = Web(shop, "--token-file", tmp_path / "token")
    for header in (None, {"Authorization": "Bearer wrong"}, {"Authorization": _TOKEN}):
        for path in ("/api/topic", "/api/events"):
            answer = web.get(path, headers=header, topic="orders")
            assert (answer.status, answer.json()) == (401, {"error": "a token is needed"})
    found = web.get("/api/topic", headers={"Authorization": f"Bearer {_TOKEN}", "Host": "shop.example"}, topic="orders")
    assert found.json()["topic"] == "orders"
    assert _TOKEN not in web.get("/").text


def test_absurd_requests_end_no_server(web: Web) -> None:
    web.raw(b"\x16\x03\x01nonsense\r\n\r\n")
    assert b" 414 " in web.raw(b"GET /" + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n").split(b"\n")[0]
    assert b" 431 " in web.raw(b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n").split(b"\n")[0]
    assert web.get("/").status == 200


def test_clients_are_limited_and_those_that_leave_make_room(shop: CommandLine) -> None:
    web = Web(shop)
    connections = [socket.create_connection(("127.0.0.1", web.port), timeout=SECONDS_MAX) for _ in range(64)]
    for connection in connections:
        connection.sendall(b"GET /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.0 200"
    assert web.get("/").status == 503
    for connection in connections:
        connection.close()
    while web.get("/").status == 503:
        pass


@pytest.mark.parametrize("has_listeners", [False, True])
def test_it_stops_by_sigterm(shop: CommandLine, has_listeners: bool) -> None:
    web = Web(shop)
    if has_listeners:
        with web.events() as samples:
            next(samples)
            web.process.terminate()
            assert web.process.wait(SECONDS_MAX) == 0
    else:
        web.process.terminate()
    _, errors = web.process.communicate(timeout=SECONDS_MAX)
    assert (web.process.returncode, errors) == (0, b"")


def test_ctrl_c_ends_it(shop: CommandLine) -> None:
    web = Web(shop)
    web.process.send_signal(signal.SIGINT)
    _, errors = web.process.communicate(timeout=SECONDS_MAX)
    assert (web.process.returncode, errors) == (130, b"")


def test_a_port_that_is_in_use_is_named(shop: CommandLine, web: Web) -> None:
    assert f"127.0.0.1:{web.port} cannot be listened at" in shop.error("web", "--listen", str(web.port))
