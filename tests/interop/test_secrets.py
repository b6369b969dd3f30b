"""The password of a bridge is in no log, error, file of the store, list of processes or description of a group."""

from __future__ import annotations

import logging
import subprocess
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLogError
from tests.cli.command_line import CommandLine
from tests.interop.bridge_processes import BACK, GROUP, TOPIC, make_store
from tests.interop.far_ends import FarEnd
from tests.support.processes import Worker

pytestmark = pytest.mark.faults

WRONG = "n0t-the-p4ssword"
_GIVE_UP_SECONDS = 1.0
_TRIES = 200


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "wrong"])
def test_a_password_is_nowhere(far_end: FarEnd, tmp_path: Path, is_right: bool) -> None:
    store, queue = make_store(tmp_path), far_end.new_queue()
    url, password = far_end.login(queue)
    given = password if is_right else WRONG
    with eventlog.open(store) as log:
        log.partition(TOPIC, 0).append(b"one")
    log_file = tmp_path / "log"
    with Worker(bridges_that_log, store, url, given, log_file) as worker:
        told: list[object] = [worker.receive(), log_file.read_text()]
    told += said_by_programs(CommandLine(store), url, given, tmp_path)
    told += [file.read_bytes() for file in store.rglob("*") if file.is_file()]
    for secret in {password, given}:
        assert not [text for text in map(str, told) if secret in text]


def bridges_that_log(connection: Connection, store: Path, url: str, password: str, log_file: Path) -> None:
    """What bridges both ways say, with the password in the URL and beside it, while everything that is logged is kept."""
    logging.basicConfig(filename=log_file, level=logging.DEBUG)
    user, host = url.split("@")
    told = []
    with eventlog.open(store) as log:
        for address, separate in ((url, password), (f"{user}:{password.replace(':', '%3A')}@{host}", None)):
            for bridge in (
                log.ship(TOPIC, address, group=GROUP, password=separate, give_up_after=_GIVE_UP_SECONDS),
                log.collect(BACK, address, password=separate, give_up_after=_GIVE_UP_SECONDS),
            ):
                try:
                    bridge.run(until_idle=0)
                except EventLogError as error:
                    told += traceback.format_exception(error)
                told += [repr(bridge), repr(bridge.progress())]
    connection.send("\n".join(told))


def said_by_programs(command_line: CommandLine, url: str, password: str, directory: Path) -> list[str]:
    """What the command says, and others about it while it runs."""
    (directory / "password").write_text(password)
    options = ("--to", url, "--group", GROUP, "--password-file", directory / "password")
    program = command_line.start("ship", TOPIC, *options)
    try:
        told = [Path(f"/proc/{program.pid}/cmdline").read_text()]
        for _ in range(_TRIES):
            described = command_line.run("groups", "describe", GROUP, "--json").stdout.decode()
            if '"bridge"' in described and '"connecting"' not in described:
                break
            with suppress(subprocess.TimeoutExpired):
                program.wait(0.1)
                break
        told += [described, command_line.run("groups", "describe", GROUP).stdout.decode(), command_line.output("metrics")]
        program.terminate()
        output, errors = program.communicate(timeout=60)
        return [*told, output.decode(), errors.decode()]
    finally:
        command_line.kill_all()
