"""The recipes of docs/stopping.md in the programs that they are for: gunicorn, uvicorn with FastAPI, Django, Celery."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

import eventlog
from eventlog import EventLog
from tests.interop import apache_kafka
from tests.support.recipes import ROOT, write_recipe

pytestmark = pytest.mark.clients

SECONDS_MAX = 60
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the store of the recipes."""
    with eventlog.open(tmp_path / "shop") as log:
        log.create_topic("orders")
    write_recipe(tmp_path, "shop_store.py")
    return tmp_path


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts `python -m MODULE ARGUMENTS` there, in a process group of its own, which is killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
        if find_spec(module) is None:
            (pytest.fail if apache_kafka.is_required() else pytest.skip)(f"{module} is not installed: pip install '.[interop]'")
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=directory, env=environment, stdout=PIPE, stderr=STDOUT, text=True,
            start_new_session=True, pass_fds=pass_fds,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def told(process: subprocess.Popen[str], pattern: str) -> str:
    """What a program prints that matches."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[found.lastindex or 0]
    raise AssertionError("".join(seen))


def end(process: subprocess.Popen[str], status: int = 0) -> str:
    """Let it end by SIGTERM, and return what else it has printed."""
    process.terminate()
    printed, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == status, printed
    return printed


def ask(url: str, *, data: bytes | None = None) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=SECONDS_MAX) as answer:
        return str(answer.read().decode())


def orders(log: EventLog) -> list[bytes | None]:
    return list(log.partition("orders", 0).values())


def check_ended_well(directory: Path, group: str, count: int) -> None:
    """The member has left, and has committed everything."""
    with eventlog.open(directory / "shop") as log:
        described = log.group(group).describe()
        assert described.members == ()
        assert list(log.group(group).committed().values()) == [count]


@pytest.mark.parametrize("options", [["--workers", "2"], ["--workers", "2", "--threads", "4", "--preload"]])
def test_gunicorn(directory: Path, start: Start, options: Sequence[str]) -> None:
    write_recipe(directory, "shop_web.py")
    process = start("gunicorn", "shop_web:application", "--bind", "127.0.0.1:0", *options)
    url = told(process, r"Listening at: (http://\S+)")
    assert sorted(int(ask(f"{url}/{number}")) for number in range(20)) == list(range(20))
    assert "Traceback" not in end(process)
    with eventlog.open(directory / "shop") as log:
        assert log.partition("orders", 0).recovery.outcome == "trusted"
        assert sorted(orders(log)) == sorted(b"/%d" % number for number in range(20))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_fastapi_under_uvicorn(directory: Path, start: Start, workers: str) -> None:
    write_recipe(directory, "shop_api.py")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        file, port = listening.fileno(), listening.getsockname()[1]
        process = start("uvicorn", "shop_api:app", "--fd", str(file), "--workers", workers, pass_fds=[file])
        for _ in range(int(workers)):
            told(process, "Application startup complete")
        for number in range(3):
            assert ask(f"http://127.0.0.1:{port}/orders/{number}", data=b"") == f'{{"offset":{number}}}'
            assert told(process, r"worked on (.*)") == f"b'{number}'"
    process.terminate()
    printed, _ = process.communicate(timeout=SECONDS_MAX)
    assert "Traceback" not in printed
    assert printed.count("Application shutdown complete") == int(workers)
    check_ended_well(directory, "api", 3)


def test_a_management_command_of_django(directory: Path, start: Start) -> None:
    write_recipe(directory / "app", "management/commands/work.py")
    for package in ("app", "app/management", "app/management/commands"):
        (directory / package / "__init__.py").touch()
    (directory / "settings.py").write_text("INSTALLED_APPS = ['app']\nSECRET_KEY = 'x'\n")
    with eventlog.open(directory / "shop") as log:
        log.partition("orders", 0).append_many([b"first", b"second"])
    process = start("django", "work", "--settings", "settings")
    assert [told(process, "ready|first|second") for _ in range(3)] == ["ready", "first", "second"]
    assert end(process) == ""
    check_ended_well(directory, "django", 2)


def test_the_prefork_pool_of_celery(directory: Path, start: Start) -> None:
    write_recipe(directory, "shop_tasks.py")
    (directory / "queue").mkdir()
    (directory / "celeryconfig.py").write_text(
        'broker_url = "filesystem://"\n'
        'broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue"}\n'
        'result_backend = "file://queue"\n'
        'worker_hijack_root_logger = False\n'
    )
    process = start("celery", "-A", "shop_tasks", "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO")
    told(process, "ready")
    send = (
        "from shop_tasks import order\n"
        "print(sorted(each.get(timeout=60) for each in [order.delay(str(n)) for n in range(10)]))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"}
    sent = subprocess.run(
        [sys.executable, "-c", send], cwd=directory, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert sent.stdout.strip() == str(list(range(10))), sent
    assert "Traceback" not in end(process)
    with eventlog.open(directory / "shop") as log:
        assert log.partition("orders", 0).recovery.outcome == "trusted"
        assert sorted(orders(log)) == sorted(b"%d" % number for number in range(10))
