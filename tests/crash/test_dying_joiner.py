"""A member's number may be that of a process which is being killed in the middle of joining, and has yet to let go of it."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from eventlog import LockTimeoutError
from eventlog.groups.presence import ProcessPresence
from tests.support.processes import Worker

EPOCH = 7


def hold(connection: Connection, path: Path) -> None:
    presence = ProcessPresence(path, lock_timeout_ms=0)
    presence.announce(EPOCH)
    connection.send(f"{presence!r} has it")
    connection.recv()


def test_who_joins_with_the_number_of_a_dying_process_waits_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "members"
    impatient, patient = (ProcessPresence(path, lock_timeout_ms=timeout_ms) for timeout_ms in (1, 60_000))
    with Worker(hold, path) as dying:
        dying.receive()
        with pytest.raises(LockTimeoutError, match=f"member {EPOCH}"):
            impatient.announce(EPOCH)
        waiting = threading.Thread(target=patient.announce, args=(EPOCH,))
        waiting.start()
        dying.kill()
        waiting.join()
    assert impatient.is_alive(EPOCH)
    patient.close()
    assert not impatient.is_alive(EPOCH)
    impatient.close()
