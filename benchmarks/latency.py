"""How long one append takes, by percentiles: each contender appends one event after the other and looks at the clock."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import peers
from benchmarks.figures import Figure, Skip, percentiles
from benchmarks.peers.peer import Durability, Peer
from benchmarks.run import Run, timed
from benchmarks.throughput import stream_of
from benchmarks.workloads import SMALL

SUITE = "latency"
_EVENTS_MAX = 100_000
_BENCH = "append 100 B"


def _append_timed(peer: Peer, address: str, durability: Durability, count: int, seed: int) -> list[int]:
    with stream_of(peer, address, durability, SMALL) as stream, peer.open(stream) as session:
        return session.append_timed(SMALL.events(count, seed))


def run_latency(run: Run) -> None:
    """Every contender at each durability; servers one after the other."""
    embedded = run.found(SUITE, peers.EMBEDDED)
    servers = run.found(SUITE, peers.SERVERS)
    ours = peers.get("eventlog")
    for durability in ("process", "disk"):
        _run_lineup(run, "embedded", embedded, durability)
        for server in servers:
            _run_lineup(run, server.name, [ours, server], durability)


def _run_lineup(run: Run, lineup: str, contenders: list[Peer], durability: Durability) -> None:
    able = []
    for peer in contenders:
        reason = peer.why_lacking(durability)
        if reason is None:
            able.append(peer)
        else:
            run.journal.skip(Skip(SUITE, peer.name, f"{_BENCH} ({durability})", reason))
    if lineup != "embedded" and len(able) < len(contenders):
        return
    with ExitStack() as stack:
        directory = stack.enter_context(run.fresh_directory())
        addresses = {peer: stack.enter_context(peer.running(directory / peer.name, durability)) for peer in able}
        counts = {
            peer: run.calibrate(
                lambda count, peer=peer: timed(lambda: _append_timed(peer, addresses[peer], durability, count, run.seed)),  # type: ignore[misc]
                20 if durability == "disk" else 100,
                _EVENTS_MAX,
            )
            for peer in able
        }
        for number in range(1, run.rounds + 1):
            for peer in able:
                times = _append_timed(peer, addresses[peer], durability, counts[peer], run.seed)
                detail = {"events": len(times)}
                for statistic, nanoseconds in percentiles(times).items():
                    microseconds = nanoseconds / 1000
                    run.add(
                        Figure(SUITE, lineup, peer.name, _BENCH, durability, statistic, "us", microseconds, number, detail)
                    )
