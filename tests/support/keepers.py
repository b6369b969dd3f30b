"""What the processes of tests do that keep a store: backup and restore. Each is called as `role(connection, ...)`."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from tests.support.stores import TOPIC


def back_up(connection: Connection, store: Path, backup: Path, link: bool) -> None:
    """Take one backup and report how many records are in it."""
    with eventlog.open(store, fsync="never") as log:
        connection.send(log.backup(backup, link=link).records)


def restore(connection: Connection, backup: Path, destination: Path) -> None:
    """Restore a backup and report how many records are in it."""
    connection.send(eventlog.restore(backup, destination).records)


def back_up_forever(connection: Connection, store: Path, directory: Path) -> None:
    """Take one backup after the other, and report the path of each when it is complete; a message ends it."""
    number = 0
    with eventlog.open(store, fsync="never") as log:
        while not connection.poll():
            number += 1
            connection.send(log.backup(directory / str(number)).path)
    connection.send("closed")


def repair(connection: Connection, store: Path) -> None:
    """Repair partition 0, and report whether there was anything to do."""
    with eventlog.open(store) as log:
        connection.send(log.repair(TOPIC, 0, execute=True).was_executed)


def compact(connection: Connection, store: Path) -> None:
    """Compact everything that may be compacted, and report what failed."""
    with eventlog.open(store) as log:
        connection.send(log.maintain(compact_all=True).failures)
