"""A member's number may be that of a process which is being killed in the middle of joining, and has yet to let go of it."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from eventlog import LockTimeoutError
from eventlog.groups.liveness import MemberLocks
from tests.support.processes import Worker

EPOCH = 7


def hold(connection: Connection, path: Path) -> None:
    locks = MemberLocks(path)
    locks.hold(EPOCH, timeout_ms=0)
    connection.send(f"{locks!r} holds it")
    connection.recv()


def test_who_joins_with_the_number_of_a_dying_process_waits_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "members"
    locks = MemberLocks(path)
    with Worker(hold, path) as dying:
        dying.receive()
        with pytest.raises(LockTimeoutError, match=f"member {EPOCH}"):
            locks.hold(EPOCH, timeout_ms=1)
        waiting = threading.Thread(target=locks.hold, args=(EPOCH, 60_000))
        waiting.start()
        dying.kill()
        waiting.join()
    other = MemberLocks(path)
    assert other.is_alive(EPOCH)
    locks.close()
    assert not other.is_alive(EPOCH)
    other.close()
