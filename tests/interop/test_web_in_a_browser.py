"""`eventlog web` in Chromium: what somebody sees, and that what records hold never runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from tests.cli.command_line import CommandLine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_TOKEN = "a-secret-of-some-length"
_HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\x1b[2J"
_SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
_EXPECTED = 15_000.0  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    problem = _missing()
    if problem is not None:
        if os.environ.get("EVENTLOG_REQUIRE_SERVERS") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


def _missing() -> str | None:
    try:
        import playwright.sync_api  # noqa: F401
    except ModuleNotFoundError:
        return "needs playwright, of the extra interop"
    return None if shutil.which("chromium") else "needs chromium: tests/interop/install_chromium"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser of its own, in which nothing may go wrong."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(_EXPECTED)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    yield page
    context.close()
    assert [each for each in wrong if "status of 40" not in each and "ERR_" not in each] == []
    assert all(request.startswith(("http://127.0.0.1:", "data:")) for request in requests)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CommandLine, EventLog]]:
    """A store with a topic of hostile records, one of many, and a group that lags."""
    command_line = CommandLine(tmp_path_factory.mktemp("web") / "<b>shop")
    with eventlog.open(command_line.store) as log:
        log.create_topic("orders", partitions=2)
        log.partition("orders", 0).append_many([b'{"total":%d}' % number for number in range(300)])
        log.partition("orders", 1).append(_HOSTILE.encode(), key=_HOSTILE.encode(), headers=[(_HOSTILE, _HOSTILE.encode())])
        log.create_group("billing").reset({TopicPartition("orders", 0): 100})
        yield command_line, log
    command_line.kill_all()


@pytest.fixture(scope="module")
def url(shop: tuple[CommandLine, EventLog]) -> str:
    return start(shop[0])


def start(command_line: CommandLine, *options: str | Path) -> str:
    process = command_line.start("web", "--listen", "0", "--interval", "0.2", "--json", *options)
    assert process.stdout is not None
    found: str = json.loads(process.stdout.readline())["url"]
    return found


def test_topics_and_groups_are_live(shop: tuple[CommandLine, EventLog], url: str, page: Page) -> None:
    page.goto(url)
    page.wait_for_selector("#topics >> text=orders")
    assert page.locator("svg.chart").count() == 2
    page.wait_for_selector("#groups .red >> text=200")
    page.focus("#topics a")
    shop[1].partition("orders", 0).append(b'{"total":300}')
    page.wait_for_selector("#topics >> text=302")
    page.wait_for_selector("#groups .red >> text=201")
    assert page.locator("#topics a:focus").inner_text() == "orders"
    assert page.locator("nav").inner_text().endswith("<b>shop")


def test_from_a_topic_to_a_record_with_a_search(url: str, page: Page) -> None:
    page.goto(url)
    page.click("#topics >> text=orders")
    page.wait_for_selector("#partitions")
    page.locator("#partitions a").first.click()
    page.wait_for_selector('#records >> text={"total":299}')
    page.click("#first")
    page.wait_for_selector('#records >> text={"total":0}')
    page.click("#after")
    page.wait_for_selector('#records >> text={"total":50}')
    page.fill("#search", "total\":29")
    page.press("#search", "Enter")
    page.wait_for_selector("text=11 found, no more")
    page.fill("#go", "nonsense")
    page.press("#go", "Enter")
    page.wait_for_selector("text=is not a time")
    page.locator("#records a").first.click()
    page.wait_for_selector("#value")
    assert page.locator("#value").inner_text() == '{\n  "total": 29\n}'


def test_a_group_has_its_lag_by_partition(url: str, page: Page) -> None:
    page.goto(f"{url}#/group/billing")
    page.wait_for_selector("#progress >> text=orders")
    assert page.locator("svg.chart").count() == 2
    assert "100" in page.locator("#progress tbody tr").first.inner_text()


def test_what_a_record_holds_is_text(url: str, page: Page) -> None:
    page.goto(f"{url}#/topic/orders/1")
    page.wait_for_selector("#records a")
    page.locator("#records a").first.click()
    page.wait_for_selector("#value")
    assert page.locator("#value").inner_text() == _HOSTILE.replace("\x1b", "\\x1b")
    assert page.locator("img").count() == 0
    assert page.title().startswith("eventlog ")


def test_the_page_asks_for_a_token(shop: tuple[CommandLine, EventLog], page: Page, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(_TOKEN)
    url = start(shop[0], "--token-file", tmp_path / "token")
    page.goto(url)
    page.fill("#token", _TOKEN)
    page.press("#token", "Enter")
    page.wait_for_selector("#topics >> text=orders")
    assert _TOKEN not in page.url


def test_a_token_in_the_address_is_taken_out_of_it(
    shop: tuple[CommandLine, EventLog], page: Page, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(_TOKEN)
    page.goto(f"{start(shop[0], '--token-file', tmp_path / 'token')}#token={_TOKEN}")
    page.wait_for_selector("#topics >> text=orders")
    assert _TOKEN not in page.url


def test_it_says_when_the_server_is_gone(shop: tuple[CommandLine, EventLog], page: Page) -> None:
    command_line = CommandLine(shop[0].store)
    page.goto(start(command_line))
    page.wait_for_selector("#topics >> text=orders")
    command_line.kill_all()
    page.wait_for_selector("text=the server does not answer")


def test_the_script_makes_the_picture(browser: Browser, tmp_path: Path) -> None:
    subprocess.run([sys.executable, _SCREENSHOTS / "web.py", tmp_path], check=True)
    assert (tmp_path / "web.png").read_bytes().startswith(b"\x89PNG")
    assert (_SCREENSHOTS / "web.png").read_bytes().startswith(b"\x89PNG")
