"""The power fails for a real file system: an ext4 is shut down at random moments without its journal being written.

`FS_IOC_SHUTDOWN` without a flush of the log drops whatever was not synced. Then the file system is mounted once more, and every
store on it is recovered. Source: ext4's `ext4_force_shutdown`, and xfstests, which test it the same way.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import eventlog
from eventlog import TopicPartition
from tests.support import heads, stores
from tests.support.processes import REPLY_SECONDS_MAX, Interpreter, Worker
from torture.campaign import Campaign, Run
from torture.campaigns.power.examination import examine
from torture.campaigns.power.promises import Content, Journal, Note, Promises, after

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_WITHOUT_LOG_FLUSH = 2
_IMAGE_BYTES = 96 * 2**20
_MOUNT_OPTIONS = ("data=ordered", "data=writeback", "nodelalloc", "data=ordered,commit=1")
_BLOCK_BYTES = (1024, 4096)
_ROUNDS_PER_STORE = 4
_NOTES_MAX = 400
_TOPIC, _OTHER_TOPIC, _GROUP = stores.TOPIC, "others", "billing"
_SYNCED, _UNSYNCED = 0, 1  # partitions
_STOPPED_OR_IN_A_CALL = frozenset("TD")  # a call that cannot be interrupted ends, and then the thread stops


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    missing = [program for program in ("mkfs.ext4", "losetup", "mount", "umount", "unshare") if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    with tempfile.TemporaryDirectory() as directory:
        try:
            with _device(Path(directory), 4096) as device, _mounted(device, Path(directory) / "mount", "data=ordered") as mount:
                _shut_down(mount)
        except (subprocess.CalledProcessError, OSError) as error:
            return f"an ext4 in a file cannot be mounted and shut down here: {error}"
    return None


def _command(*arguments: str | Path) -> str:
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def _device(directory: Path, block_bytes: int) -> Iterator[Path]:
    """A block device in a file, with a new ext4. It keeps its number, so that a head is in the same file after a reboot."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(_IMAGE_BYTES)
    _command("mkfs.ext4", "-q", "-F", "-b", str(block_bytes), image)
    device = Path(_command("losetup", "--find", "--show", image))
    try:
        yield device
    finally:
        _command("losetup", "--detach", device)
        image.unlink()


@contextmanager
def _mounted(device: Path, mount: Path, options: str) -> Iterator[Path]:
    mount.mkdir(exist_ok=True)
    _command("mount", "-t", "ext4", "-o", options, device, mount)
    try:
        yield mount
    finally:
        _command("umount", mount)


def _shut_down(mount: Path) -> None:
    """From now on nothing reaches the disk any more, and what was not synced is lost."""
    descriptor = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG_FLUSH))
    finally:
        os.close(descriptor)


# --- the processes: each notes what it is about to do and what was promised, until the file system is gone ----------------


def _contents(choice: random.Random) -> list[Content]:
    return [
        Content(b"key", b"%d " % choice.getrandbits(64) + choice.randbytes(choice.choice((5, 50, 500, 5000))))
        for _ in range(choice.choice((1, 1, 1, 3, 20)))
    ]


def append_forever(connection: Connection, store: Path, number: int, options: dict[str, Any], seed: int) -> None:
    """Append to a partition, and delete its beginning now and then."""
    choice = random.Random(seed)
    journal = Journal(connection.send)
    with eventlog.open(store, **options) as log:
        partition = log.partition(_TOPIC, number)
        while True:
            journal.append(partition, _contents(choice))
            if choice.random() < 0.02:
                journal.delete_records(partition, choice.randrange(partition.start_offset, partition.end_offset + 1))


def consume_forever(connection: Connection, store: Path, seed: int) -> None:
    """Commit what was read, most of the time durably."""
    choice = random.Random(seed)
    journal = Journal(connection.send)
    with eventlog.open(store) as log, log.consumer(_TOPIC, group=_GROUP) as consumer:
        while True:
            for partition in sorted({TopicPartition(record.topic, record.partition) for record in consumer.poll(1.0)}):
                position = consumer.position(partition)
                journal.note("committing", _GROUP, partition, position)
                is_synced = choice.random() < 0.7
                consumer.commit({partition: position}, sync=is_synced)
                if is_synced:
                    journal.note("committed_durably", _GROUP, partition, position)
                    journal.note("durable", *partition, position)


def change_topics_forever(connection: Connection, store: Path, seed: int) -> None:
    """Create, alter and delete a topic again and again."""
    choice = random.Random(seed)
    journal = Journal(connection.send)
    with eventlog.open(store, fsync="always") as log:
        while True:
            if _OTHER_TOPIC in log.topics():
                journal.delete_topic(log, _OTHER_TOPIC)
            journal.create_topic(log, _OTHER_TOPIC, 1, {"segment.bytes": 4096})
            for _ in range(choice.randrange(3)):
                journal.append(log.partition(_OTHER_TOPIC, 0), [Content(b"key", choice.randbytes(50))])
            journal.alter_topic(log, _OTHER_TOPIC, 2, {"retention.ms": choice.randrange(10**9)})


# --- the campaign -----------------------------------------------------------------------------------------------------


def _work_until_power_fails(run: Run, mount: Path, store: Path) -> list[Note]:
    """Let all of them work, cut the power at a random moment, and kill them; what they had noted by then."""
    seeds = [run.random.getrandbits(32) for _ in range(4)]
    notes: list[Note] = []
    with (
        Worker(append_forever, store, _SYNCED, {"fsync": "always"}, seeds[0]) as synced,
        Worker(append_forever, store, _UNSYNCED, {"fsync_interval_ms": 20}, seeds[1]) as unsynced,
        Worker(consume_forever, store, seeds[2]) as consumer,
        Worker(change_topics_forever, store, seeds[3]) as changer,
    ):
        workers = {worker.connection: worker for worker in (synced, unsynced, consumer, changer)}
        moment = run.random.randrange(1, _NOTES_MAX)
        while len(notes) < moment:
            ready = wait(list(workers), REPLY_SECONDS_MAX)
            assert ready, "nobody does anything"
            notes.extend(worker.receive() for connection, worker in workers.items() if connection in ready)
        _stop(list(workers.values()))
        _shut_down(mount)
        for worker in workers.values():
            worker.kill()
            notes.extend(worker.drain())
    return notes


def _stop(workers: list[Worker]) -> None:
    """Let none of them return from a system call any more: a sync that fails together with the journal may claim success."""
    for worker in workers:
        worker.stop()
    for worker in workers:
        threads = list(Path(f"/proc/{worker.pid}/task").iterdir())
        while not all(_state(thread) in _STOPPED_OR_IN_A_CALL for thread in threads):
            os.sched_yield()


def _state(thread: Path) -> str:
    """The state of a thread, "T" for one that has ended. Source: proc(5), /proc/pid/stat."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "T"


def make_store(connection: Connection, store: Path, config: dict[str, object]) -> None:
    """Make a new store with a topic."""
    shutil.rmtree(store, ignore_errors=True)
    with eventlog.open(store) as log:
        Journal(connection.send).create_topic(log, _TOPIC, 2, config)
    connection.send(None)


def recover(connection: Connection, store: Path, promises: Promises) -> None:
    """Examine the store after a reboot, and note what is promised from then on."""
    for file in (store / "shared").iterdir():
        # It was mapped by a kernel that has not been started anew; nobody may believe that.
        if file.suffix in (".head", ".acks") and file.stat().st_size >= heads.HEAD_BYTES:
            heads.simulate_reboot(file)
    for (topic, number), contents in examine(store, promises).items():
        last = max(contents)
        connection.send(("found", (topic, number, last)))
        connection.send(("appending", (topic, number, last, [contents[last]])))
    connection.send(None)


def _notes_of(worker: Worker) -> list[Note]:
    """What a process notes until it is done. It has the store mapped as long as it lives."""
    with worker:
        return list(iter(worker.receive, None))


def _live_through(run: Run, device: Path, options: str) -> Iterator[None]:
    """Make a store, and let the power fail again and again while it is at work; each time it was recovered from is a turn."""
    mount = run.directory / "mount"
    store = mount / "store"
    config = {"segment.bytes": run.random.choice((131_072, 262_144, 2**20)), "index.interval.bytes": 1024}
    with _mounted(device, mount, options):
        promises = after(_notes_of(Worker(make_store, store, config)))
    for _ in range(_ROUNDS_PER_STORE):
        with _mounted(device, mount, options):
            promises = after(_work_until_power_fails(run, mount, store), promises)
        run.count("power cuts")
        with _mounted(device, mount, options):
            notes = _notes_of(Worker(recover, store, promises))
        ends = {arguments[:2]: arguments[2] for name, arguments in notes if name == "found"}
        run.count("records recovered", sum(ends.values()))
        run.count("lost that were not synced", sum(_appended(promises, *place) - end for place, end in ends.items()))
        promises = after(notes, promises)
        yield


def _appended(promises: Promises, topic: str, number: int) -> int:
    """Where the partition would end if nothing had been lost."""
    return max(promises.topics[topic].log(number).ends)


def cut_the_power(connection: Connection, run: Run) -> None:
    """Do it all, and report what was counted after each time."""
    for _ in range(run.amount(1, 8)):
        with _device(run.directory, run.random.choice(_BLOCK_BYTES)) as device:
            for _ in range(run.amount(5, 16)):
                for _ in _live_through(run, device, run.random.choice(_MOUNT_OPTIONS)):
                    connection.send(run.counts)
                    run.counts.clear()
    connection.send(None)


def _run(run: Run) -> None:
    # A process that is started elsewhere with mounts of its own would have a copy of ours, and keep what was shut down alive.
    with Interpreter(cut_the_power, run, prefix=["unshare", "--mount"]) as process:
        for counts in iter(process.receive, None):
            run.counts.update(counts)


CAMPAIGN = Campaign(
    "ext4",
    "What was promised to be on disk is there after an ext4 was cut off in the middle of its work.",
    _run,
    _why_not,
)
