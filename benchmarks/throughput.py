"""How many events a second: each operation on each workload, by every contender that has it.

Contenders of a line-up take turns in every round, because machines are noisy: their figures may be compared. All that runs
inside this process is one line-up; each server with eventlog beside it is another, so that no idle server disturbs the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count as count_from

from benchmarks import peers
from benchmarks.figures import Figure, Skip
from benchmarks.peers.peer import Durability, Peer, Session, Stream
from benchmarks.run import Run, timed
from benchmarks.workloads import BATCH_EVENTS, COMPRESSED, KEYED, LARGE, SMALL, WITH_HEADERS, Events, Workload

SUITE = "throughput"
_BYTES_MAX = 2**27  # of one measurement
_EVENTS_MAX = 1_000_000
_STOCK_EVENTS = 20_000  # what is there to seek in
_APPENDING = ("append", "append_batches", "send", "produce")


@dataclass(frozen=True)
class Bench:
    """An operation on a workload at a durability. `commit_every` is for "consume"."""

    name: str
    operation: str
    workload: Workload
    durability: Durability = "process"
    commit_every: int | None = None
    is_for_servers: bool = False

    def needs(self) -> list[str]:
        """What a contender must not lack."""
        operation = {None: self.operation, 1: "commit_each", BATCH_EVENTS: "commit_many"}[self.commit_every]
        needs = [operation, self.durability]
        needs += ["keys"] if self.workload.is_keyed else []
        needs += ["headers"] if self.workload.has_headers else []
        return [*needs, *(["compression"] if self.workload.compression else [])]

    @property
    def unit(self) -> int:
        """The smallest number of events that makes sense."""
        if self.operation == "append_batches" or self.commit_every == BATCH_EVENTS:
            return BATCH_EVENTS
        return 20 if self.durability == "disk" else 100


BENCHES = [
    Bench("append 100 B", "append", SMALL, is_for_servers=True),
    Bench("append 1 KiB", "append", LARGE),
    Bench("append with key", "append", KEYED),
    Bench("append with key and headers", "append", WITH_HEADERS),
    Bench("append batches of 1,000 × 100 B", "append_batches", SMALL, is_for_servers=True),
    Bench("append batches of 1,000 × 1 KiB", "append_batches", LARGE),
    Bench("append batches with keys", "append_batches", KEYED),
    Bench("append batches, compressed", "append_batches", COMPRESSED),
    Bench("send, many in flight", "send", SMALL, is_for_servers=True),
    Bench("send with key, many in flight", "send", KEYED),
    Bench("send, one at a time", "produce", SMALL, is_for_servers=True),
    Bench("send with key, one at a time", "produce", KEYED),
    Bench("read values", "read", SMALL, is_for_servers=True),
    Bench("read records", "read_records", SMALL),
    Bench("read columns", "read_columns", SMALL),
    Bench("seek", "seek", SMALL, is_for_servers=True),
    Bench("consume", "consume", SMALL),
    Bench("consume, commit every 1,000", "consume", SMALL, commit_every=BATCH_EVENTS, is_for_servers=True),
    Bench("consume, commit each", "consume", SMALL, commit_every=1, is_for_servers=True),
    Bench("commit", "commit", SMALL),
    Bench("append 100 B", "append", SMALL, "disk", is_for_servers=True),
    Bench("append batches of 1,000 × 100 B", "append_batches", SMALL, "disk", is_for_servers=True),
]

_names = count_from()


@contextmanager
def stream_of(peer: Peer, address: str, durability: Durability, workload: Workload, partitions: int = 1) -> Iterator[Stream]:
    """A new stream, which is deleted at the end of the block."""
    stream = Stream(address, f"events-{next(_names)}", durability, workload, partitions)
    peer.create(stream)
    try:
        yield stream
    finally:
        peer.drop(stream)


def fill(peer: Peer, session: Session, events: Events) -> None:
    """Append events in the fastest way."""
    if peer.why_lacking("append_batches") is None:
        session.append_batches(list(events.batches()))
    else:
        session.append(events)


def _work(bench: Bench, session: Session, events: Events, seed: int) -> Callable[[], object]:
    count = len(events)
    if bench.operation == "append_batches":
        batches = list(events.batches())
        return lambda: session.append_batches(batches)
    if bench.operation == "seek":
        offsets = random.Random(seed).choices(range(_STOCK_EVENTS), k=count)
        return lambda: session.seek(offsets)
    if bench.operation == "consume":
        return lambda: session.consume(count, bench.commit_every)
    operation: Callable[..., object] = getattr(session, bench.operation)
    return lambda: operation(events if bench.operation in _APPENDING else count)


def measure(peer: Peer, address: str, bench: Bench, count: int, seed: int) -> float:
    """The seconds that one contender takes for so many events; what has to be there before is not counted."""
    events = bench.workload.events(count, seed)
    with stream_of(peer, address, bench.durability, bench.workload) as stream, peer.open(stream) as session:
        if bench.operation not in _APPENDING:
            stock = {"seek": _STOCK_EVENTS, "commit": BATCH_EVENTS}.get(bench.operation, count + 1)
            fill(peer, session, bench.workload.events(stock, seed))
        if bench.operation in ("consume", "commit"):
            session.join(is_committing=bench.operation == "commit" or bench.commit_every is not None)
        return timed(_work(bench, session, events, seed))


def _run_lineup(run: Run, lineup: str, contenders: Sequence[Peer], durability: Durability, benches: Sequence[Bench]) -> None:
    counts: dict[tuple[str, Bench], int] = {}
    run.warm_up()
    with ExitStack() as stack:
        directory = stack.enter_context(run.fresh_directory())
        addresses = {peer: stack.enter_context(peer.running(directory / peer.name, durability)) for peer in contenders}
        for number in range(run.rounds + 1):  # the first one warms up, and finds out how much is to be done
            for bench in benches:
                for peer in contenders:
                    _take_turn(run, lineup, peer, addresses[peer], bench, number, counts)


def _take_turn(
    run: Run, lineup: str, peer: Peer, address: str, bench: Bench, number: int, counts: dict[tuple[str, Bench], int]
) -> None:
    if (reason := peer.why_lacking(*bench.needs())) is not None:
        return run.journal.skip(Skip(SUITE, peer.name, bench.name, reason))
    if number == 0:
        limit = min(_EVENTS_MAX, _BYTES_MAX // bench.workload.value_bytes) // BATCH_EVENTS * BATCH_EVENTS
        calibrated = run.calibrate(lambda count: measure(peer, address, bench, count, run.seed), bench.unit, limit)
        counts[peer.name, bench] = calibrated
        return None
    count = counts[peer.name, bench]
    seconds = measure(peer, address, bench, count, run.seed)
    rate = count / seconds
    detail = {"events": count, "seconds": seconds, "workload": bench.workload.name}
    run.add(Figure(SUITE, lineup, peer.name, bench.name, bench.durability, "rate", "/s", rate, number, detail))
    return None


def run_embedded(run: Run) -> None:
    """All that needs no server."""
    contenders = run.found(SUITE, peers.EMBEDDED)
    for durability in ("process", "disk"):
        benches = [bench for bench in BENCHES if bench.durability == durability]
        able = [peer for peer in contenders if peer.why_lacking(durability) is None]
        _run_lineup(run, "embedded", able, durability, benches)


def run_servers(run: Run) -> None:
    """Each server in its turn, with eventlog beside it."""
    ours = peers.get("eventlog")
    for server in run.found(SUITE, peers.SERVERS):
        for durability in ("process", "disk"):
            if (reason := server.why_lacking(durability)) is not None:
                run.journal.skip(Skip(SUITE, server.name, f"everything for {durability!r}", reason))
                continue
            benches = [bench for bench in BENCHES if bench.durability == durability and bench.is_for_servers]
            _run_lineup(run, server.name, [ours, server], durability, benches)
