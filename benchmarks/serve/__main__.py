"""Measures `eventlog serve`, beside Apache Kafka if that can be started: `python -m benchmarks.serve [--short] [--no-kafka]`.

Each measurement alternates between the servers. The last column is the median of the ratios of the rounds: above 1, eventlog is
better. CPU is the processor time of the server.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.serve import clients, raw, servers
from benchmarks.serve.raw import Measured
from benchmarks.serve.servers import Running

_RAW = {
    "1 x 100 B": (1, 100, 30_000),
    "10 x 100 B": (10, 100, 20_000),
    "150 x 100 B": (150, 100, 5_000),
    "900 x 1 KiB": (900, 1024, 150),
}  # records of a request, bytes of a record, requests
_CONFLUENT: dict[str, tuple[int, int, dict[str, Any]]] = {
    "100 B, acks=1": (300_000, 100, {"acks": 1}),
    "100 B, acks=all": (300_000, 100, {"acks": "all"}),
    "100 B, acks=all, idempotent": (300_000, 100, {"enable.idempotence": True}),
    "100 B, acks=all, linger 50 ms": (300_000, 100, {"acks": "all", "linger.ms": 50, "batch.size": 1_000_000}),
    "1 KiB, acks=1": (100_000, 1024, {"acks": 1}),
}
_SINGLE = 1_000
_JAVA = {
    "produce 100 B": (500_000, 100, ()),
    "produce 1 KiB": (150_000, 1024, ()),
    "produce 100 B in transactions": (500_000, 100, ("--transactional-id", "perf", "--transaction-duration-ms", "100")),
}  # records, bytes of a record, options

Figures = Mapping[str, float]
"""The figures of one measurement by their units."""


def _of(measured: Measured) -> Figures:
    return {
        "requests or records/s": measured.requests / measured.seconds,
        "CPU us each": measured.cpu_seconds / measured.requests * 1e6,
    }


class Table:
    """Figures by measurement, unit and server."""

    def __init__(self) -> None:
        self._figures: defaultdict[tuple[str, str], defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, what: str, server: str, figures: Figures) -> None:
        """Add the figures of one round."""
        for unit, figure in figures.items():
            self._figures[what, unit][server].append(figure)

    def write(self) -> None:
        """Print the medians, and the medians of the ratios."""
        print(f"{'measurement':44} {'unit':22} {'eventlog':>12} {'Kafka':>12} {'ratio':>7}")
        for (what, unit), by_server in self._figures.items():
            ours, theirs = (by_server.get(name, []) for name in ("eventlog serve", "Apache Kafka"))
            row = f"{what:44} {unit:22} {statistics.median(ours):12.4g}"
            if theirs:
                ratios = [_ratio(mine, other, unit) for mine, other in zip(ours, theirs, strict=True)]
                row += f" {statistics.median(theirs):12.4g} {statistics.median(ratios):7.2f}"
            print(row)


def _ratio(ours: float, theirs: float, unit: str) -> float:
    better, worse = (ours, theirs) if unit.endswith("/s") else (theirs, ours)
    return better / worse if worse else float("inf")


def _measurements(divisor: int, *, has_java: bool) -> dict[str, Callable[[Running], Figures]]:
    found: dict[str, Callable[[Running], Figures]] = {}
    for name, (records, record_bytes, count) in _RAW.items():
        send = partial(raw.measure, frame=raw.produce_frame("raw", records, record_bytes), count=max(2, count // divisor))
        found[f"raw client, produce {name}"] = lambda server, send=send: _of(send(server.address, server.processes))  # type: ignore[misc]
    singles = max(10, _SINGLE // divisor)
    found["raw client, produce one at a time"] = lambda server: _of_times(
        raw.produce_one_by_one(server.address, "single", singles)
    )
    found["raw client, from produce to fetch"] = lambda server: _of_times(raw.end_to_end(server.address, "followed", singles))
    if find_spec("confluent_kafka") is None:
        print("confluent-kafka is not installed, and not measured")
    else:
        found.update(_confluent_measurements(divisor))
    if has_java:
        found.update(_java_measurements(divisor))
    return found


def _confluent_measurements(divisor: int) -> dict[str, Callable[[Running], Figures]]:
    found: dict[str, Callable[[Running], Figures]] = {}
    for name, (count, record_bytes, options) in _CONFLUENT.items():
        produce = partial(clients.produce, topic="records", count=count // divisor, record_bytes=record_bytes, **options)
        found[f"confluent-kafka, produce {name}"] = lambda server, produce=produce: _of(produce(server))  # type: ignore[misc]
    found["confluent-kafka, consume"] = lambda server: _of(clients.consume(server, "records", 300_000 // divisor))
    found["confluent-kafka, produce one at a time"] = lambda server: _latencies(server, max(10, _SINGLE // divisor))
    return found


def _java_measurements(divisor: int) -> dict[str, Callable[[Running], Figures]]:
    from benchmarks.serve import java

    found: dict[str, Callable[[Running], Figures]] = {}
    for name, (count, record_bytes, options) in _JAVA.items():

        def produce(
            server: Running, count: int = count // divisor, size: int = record_bytes, options: tuple[str, ...] = options
        ) -> Figures:
            return _of(java.produce(server, "java", count, size, *options))

        found[f"Java, {name}"] = produce
    found["Java, consume"] = lambda server: _of(java.consume(server, "java", 500_000 // divisor))
    return found


def _latencies(server: Running, count: int) -> Figures:
    times, cpu = clients.produce_one_by_one(server, "single", count)
    return {**_of_times(times), "CPU us each": cpu / count * 1e6}


def _of_times(times: list[float]) -> Figures:
    ordered = sorted(times)
    return {"p50 us": ordered[len(ordered) // 2] * 1e6, "p99 us": ordered[len(ordered) * 99 // 100] * 1e6}


def main() -> None:
    """Run all measurements, and print their table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--no-kafka", action="store_true", help="do not start Apache Kafka")
    parser.add_argument("--only", default="", help="only the measurements with this in their names")
    parser.add_argument("--short", action="store_true", help="only show that everything runs; the figures mean nothing")
    parser.add_argument("--directory", type=Path, help="where the servers write; a local disk")
    arguments = parser.parse_args()
    table = Table()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory)))
        running = [stack.enter_context(servers.eventlog(directory / "store"))]
        table.add("memory, idle", running[0].name, {"MB": raw.memory_mb(running[0].processes)})
        if not arguments.no_kafka:
            kafka = stack.enter_context(servers.kafka(directory / "kafka"))
            if isinstance(kafka, str):
                print(f"without Apache Kafka: {kafka}")
            else:
                running.append(kafka)
                table.add("memory, idle", kafka.name, {"MB": raw.memory_mb(kafka.processes)})
        for server in running:
            table.add("start until the first answer", server.name, {"s": server.start_seconds})
            _create_topics(server)
        for _ in range(1 if arguments.short else arguments.rounds):
            divisor, has_java = 100 if arguments.short else 1, len(running) > 1
            for what, measure in _measurements(divisor, has_java=has_java).items():
                if arguments.only not in what:
                    continue
                for server in running:
                    table.add(what, server.name, measure(server))
        for server in running:
            table.add("memory, afterwards", server.name, {"MB": raw.memory_mb(server.processes)})
    table.write()


def _create_topics(server: Running) -> None:
    connection = raw.RawConnection(server.address)
    for name in ("raw", "records", "single", "followed", "java"):
        connection.create(name)
    connection.close()


if __name__ == "__main__":
    main()
