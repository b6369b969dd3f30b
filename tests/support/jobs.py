"""What workers of a share group do in processes of their own. Each is called as `role(connection, store, …)`."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from eventlog import TopicPartition
from tests.support.stores import TOPIC

GROUP = "resizers"
SETTINGS = {"share.record.lock.duration.ms": 3_600_000, "share.retry.backoff.ms": 0, "share.delivery.count.limit": 100}


def hold(connection: Connection, store: Path, count: int) -> None:
    """Claim so many jobs, have one in hand with others reserved behind it, say which, and wait for the end."""
    with eventlog.open(store) as log, log.worker(TOPIC, GROUP, config=SETTINGS) as worker:
        claimed = [job.offset for job in worker.claim(count)]
        jobs = iter(worker)
        for job in jobs:
            if worker.states().reserved:
                break
            job.accept()
        connection.send((claimed, job.offset))
        connection.recv()


def work(connection: Connection, store: Path, end: int) -> None:
    """Do jobs until the group has finished everything before `end`: say when one is begun, and once it was accepted."""
    with eventlog.open(store) as log, log.worker(TOPIC, GROUP, config=SETTINGS) as worker:
        while log.group(GROUP).committed().get(TopicPartition(TOPIC, 0), 0) < end:
            for job in worker.claim(3, timeout=0.02):
                connection.send(("begun", job.offset))
                if job.offset % 11 == 3 and job.delivery_count == 1:
                    job.release(0)
                    connection.send(("released", job.offset))
                else:
                    job.accept()
                    connection.send(("accepted", job.offset))
