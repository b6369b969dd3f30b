"""fork() with a store open: the child must not use the parent's handles, and can open the store itself."""

from __future__ import annotations

import inspect
from pathlib import Path

import eventlog
from tests.support import workers
from tests.support.processes import Interpreter
from tests.support.stores import TOPIC


def test_a_forked_child_is_refused_and_can_open_the_store_itself_while_the_parent_goes_on(store: Path) -> None:
    with Interpreter(workers.use_after_fork, store) as parent:
        raised = parent.receive()
        assert raised == dict.fromkeys(raised, "ForkedProcessError")
        assert parent.receive() == ([TOPIC], 1)
        assert parent.receive() == (2, [b"before the fork", b"by the child", b"by the parent"], [TOPIC])
        parent.join()


def test_the_test_above_tries_every_public_name() -> None:
    for handle, prefix in ((eventlog.Partition, ""), (eventlog.EventLog, "log.")):
        public = {name for name, _ in inspect.getmembers(handle) if not name.startswith("_")} - {"close", "is_closed"}
        assert {prefix + name for name in public} <= workers.USES_OF_HANDLES.keys()
