"""Memory that runs out at a chosen allocation of the interpreter, and what has to hold whichever it is.

The hook is CPython's own, in the module of its tests: `_testcapi.set_nomemory`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import Record
from tests.support import stores

RECORDS = 6
_MARKED = sys.intern("a value whose references are counted").encode()


@contextmanager
def failing(number: int) -> Iterator[None]:
    """The allocation of this number fails, and no other one; what is raised for it ends the block.

    That may be any error: the interpreter takes some failures for others. But a `SystemError` that names a function says that
    its C code broke the rules. One that names none is the interpreter's own, whose `with` and `open` do so."""
    import _testcapi

    try:
        _testcapi.set_nomemory(number, number + 1)
        yield
    except SystemError as error:
        if str(error) != "error return without exception set":
            raise
    except Exception:
        return
    finally:
        _testcapi.remove_mem_hooks()


def _expected(partition: eventlog.Partition) -> list[Record]:
    records = stores.everything(partition)
    assert [record.offset for record in records] == list(range(len(records)))
    return records


def _append(log: eventlog.EventLog, number: int) -> None:
    """A record that is not told to be appended may be there nevertheless, once; none is there twice or in part."""
    partition = stores.open_partition(log)
    before = _expected(partition)
    references = sys.getrefcount(_MARKED)
    with failing(number):
        partition.append_many([_MARKED, None], keys=[None, b"key"], headers=[[("name", _MARKED)], None])
    with failing(number):
        partition.append(_MARKED, b"key", [("name", None)], 5)
    assert sys.getrefcount(_MARKED) == references, "a reference was leaked"
    added = _expected(partition)[len(before) :]
    assert [record.value for record in added] in ([], [_MARKED], [_MARKED, None], [_MARKED, None, _MARKED]), added


def _read(log: eventlog.EventLog, number: int) -> None:
    partition = stores.open_partition(log)
    expected = _expected(partition)
    uses: tuple[Callable[[], Any], ...] = (
        lambda: partition.read(0),
        lambda: list(partition.records()),
        lambda: list(partition.search(b"value", fields=("key", "value", "headers"))),
    )
    for use in uses:
        found = None
        with failing(number):
            found = use()
        assert found is None or found == expected[: len(found)]
    with failing(number):
        list(partition.values())
    with failing(number):
        log.verify()
    log.verify()  # no lock was left behind
    assert _expected(partition) == expected


def _consume(log: eventlog.EventLog, number: int) -> None:
    """A consumer that ran out of memory goes on with the record that it has not handed out."""
    expected = _expected(stores.open_partition(log))
    with log.consumer(stores.TOPIC) as consumer:
        found, taken = consumer.poll(0, 1), []
        with failing(number):
            taken = consumer.poll(0, 2)
        found += taken
        while more := consumer.poll(0, 2):
            found += more
    assert found == expected, (number, [r.offset for r in found])


def _count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


USES = {"append": _append, "read": _read, "consume": _consume}


def let_each_fail(connection: Connection, store: Path, use: str, first: int, stop: int) -> None:
    """A role of a worker: let the allocations from `first` to before `stop` fail one after the other; send how many did."""
    stores.create(store)
    with eventlog.open(store, fsync="never", lock_timeout_ms=1000) as log:
        stores.open_partition(log).append_many([b"value %d" % place for place in range(RECORDS)])
        USES[use](log, 10**9)
        descriptors = _count_descriptors()
        for number in range(first, stop):
            USES[use](log, number)
            assert _count_descriptors() == descriptors, f"allocation {number} left a file open"
    connection.send(stop - first)
