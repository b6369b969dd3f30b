"""The text of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import growth, latency, opening, scaling, search, takeover, targets, throughput, wakeups
from benchmarks.figures import Figure, Results, Subject, Summary, summarize

_FOOTPRINT = "footprint"

_INTRODUCTION = """# Benchmarks

*Written by `python -m benchmarks.report`; do not edit. `make bench` measures, in less than twenty minutes on a quiet machine.
`eventlog bench` is the short form for your own machine.*

Every figure is the median over the rounds of one run; ± is half of the distance between the lowest and the highest round. In a
round all contenders of a line-up take turns. **Trust the ratios within a line-up, not the numbers**: another machine, another
day or another neighbour on the same host changes the numbers by a factor, and the ratios by less."""

_CAVEATS = """## Read this before you quote a figure

- Durability is equal or the contender is left out. "process": a completed write survives the death of every process, a server's
  included. "disk": it survives a power cut. How each contender is configured for that is listed [below](#contenders).
- eventlog, SQLite, LMDB, RocksDB and the queues run inside the process that measures. Redis, NATS, RabbitMQ and Kafka are
  servers on the same machine: each of their calls goes through a socket, and they serve other machines, replicate and
  authenticate, which eventlog does not. On the other hand, a server has its own processor to work on.
- All of them are called from Python, except Chronicle Queue, which runs in Java without Python's cost per call.
- *files* is not a contender but the floor: as many bytes as eventlog writes, without framing, checksums, offsets or locks.
- Popping from a queue (queuelib, persist-queue) removes the event. It is compared with reading, or with consuming with a commit
  each, because that is what its users do.
- Data is in the page cache. Reading from the disk is as fast as the disk, for every contender.
- Values are JSON text of 100 bytes unless the name says otherwise, from a fixed seed."""

_LIMITS = """## What limits the speed

Whole runs on two kinds of machine differ: an AMD EPYC first, an Intel Xeon in the last one, both with two virtual processors.
In pairs that take turns on one machine, this version was not slower than those before it, so what differs is the machine. Where
a target is missed, or was missed in an earlier run, profiles show this:

- **One append**: 1.96 times one `write` of as many bytes, 3.75 on the EPYC; the goal is 2. **Consuming with a commit each**:
  9.1 times LMDB's commit, 14.5 on the EPYC; the goal is 10. **A commit every 1,000 records**: 0.86 times consuming without,
  0.97 on the EPYC; the goal is 0.9.
- **Batches of 1,000 small values**: 0.61 times one `write` for each MiB in the last whole run, 0.47 to 0.60 on the EPYC where
  both take turns in memory that is already there; the goal is 0.6. The
  kernel takes 23 µs for the 116 KB of a batch, and 18 to 22 where they are part of a write of 1 MiB: it then fills larger pages
  of the cache, and copies faster the less source and target are out of step within a page. Encoding takes 13 µs: 2 for the
  checksum, 3 for copying, the rest for asking each Python object for its bytes. A batch of 1 KiB values takes 174 µs, 55 of
  them to encode; writing the same bytes by the MiB takes 164.
- **Keys and headers**: 0.41 times the same append without them in the last run, 0.67 to 0.75 on the EPYC; the goal is 0.75.
  There are more objects to look at, and more bytes to check and write.
- **Two processes that append to two partitions**: 1.9 times one process in the last run, 1.5 to 1.7 on the EPYC; the goal is
  1.8. They are as fast in two stores as in one. Two processes that only call `os.write`, or only copy into a map, are 1.7 times
  one there.
- **16 threads or 8 processes that wait for the disk**: 3.1 and 3.5 times one; the goals are 12 and 6. A flush takes 0.12 ms
  there, and waking 16 sleepers and switching to them on two processors takes longer; threads also take turns at the interpreter
  lock. If the disk takes half a millisecond longer, 16 threads reach 10 to 11 times one and 8 processes 5 to 6 times; with 2 ms
  more, 13 to 14 and 5 to 6 times (tried with an `fdatasync` that sleeps).
- **Growth**: seeking in 1 GiB was 0.78 times as fast as in an almost empty store in the last run, and in 10 GiB 1.17 times
  before; why is not known. Appending to 10 GiB was 0.77 in one run and 1.1 to 1.4 in others, because each fresh page of a large
  file is memory that the host may first have to provide. Nothing that an append does depends on the size.
- **Waking Python code**: a record received by `poll` costs what the interpreter takes for about a hundred lines after the
  wake-up."""


def write(results: Results, drawn: dict[str, str]) -> str:
    """The whole page; `drawn` has the plots' files by name."""
    summaries = summarize(results.figures)
    parts = [
        _INTRODUCTION,
        _machines(results.runs),
        _CAVEATS,
        "## Targets\n\nOurs divided by theirs. For rates a large ratio is good, for times a small one.\n\n"
        + _targets(results.figures),
        _LIMITS,
        _throughput(summaries, drawn),
        _statistics("Latency of one append", latency.SUITE, summaries, drawn.get("latency")),
        _statistics("Wake-ups between processes", wakeups.SUITE, summaries, None),
        _rates("Several writers, many partitions", scaling.SUITE, summaries, drawn.get("scaling")),
        _rates("Growth", growth.SUITE, summaries, drawn.get("growth")),
        _statistics("Opening and recovery", opening.SUITE, summaries, None),
        _statistics("Take-over after kill -9", takeover.SUITE, summaries, None),
        _statistics("Import and memory", _FOOTPRINT, summaries, None),
        _rates("Search", search.SUITE, summaries, None),
        _contenders(results),
        _left_out(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


EXCERPT_BEGIN, EXCERPT_END = "<!-- python -m benchmarks.report writes this table -->\n", "<!-- end of the table -->\n"
_EXCERPT_PEERS = ("eventlog", "lmdb", "rocksdb", "sqlite")
_EXCERPT_BENCHES = ("append 100 B", "append batches of 1,000 × 100 B", "read values", "consume, commit every 1,000", "commit")


def excerpt(results: Results) -> str:
    """The table of README.md: what most users ask first. "" where it was not measured."""
    cells = {
        (subject.bench, subject.peer): number(summary.median)
        for subject, summary in summarize(results.figures).items()
        if (subject.suite, subject.lineup, subject.durability) == (throughput.SUITE, "embedded", "process")
    }
    rows = [[bench, *(cells.get((bench, peer), "-") for peer in _EXCERPT_PEERS)] for bench in _EXCERPT_BENCHES]
    return _table(["events a second", *_EXCERPT_PEERS], rows) if cells else ""


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits that matter, with k and M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    spread = 50 * (summary.high - summary.low) / summary.median if summary.median else 0.0
    return number(summary.median) + (f" ±{spread:.0f} %" if summary.rounds > 1 else "")


def _plot(title: str, path: str | None) -> str:
    return f"![{title}]({path})\n\n" if path else ""


def _machines(runs: Sequence[dict[str, object]]) -> str:
    names = ("processor", "processors", "memory_gib", "is_virtual", "kernel", "python", "file_system", "commit", "seed", "load")
    rows = [[str(run["suite"]), str(run["time"]), *(str(run[name]) for name in names)] for run in runs]
    warning = "\n\n**A short run: its figures mean nothing.**" if any(run["is_short"] for run in runs) else ""
    return _table(["suite", "begun", *(name.replace("_", " ") for name in names)], rows) + warning


def _targets(figures: Sequence[Figure]) -> str:
    return _table(["ours", "theirs", "ratio", "goal"], [answer.cells() for answer in targets.answers(figures)])


def _throughput(summaries: dict[Subject, Summary], drawn: dict[str, str]) -> str:
    found = {subject: summary for subject, summary in summaries.items() if subject.suite == throughput.SUITE}
    if not found:
        return ""
    parts = ["## Throughput\n\nEvents a second.\n\n" + _plot("Throughput by contender", drawn.get("throughput")).strip()]
    for durability in ("process", "disk"):
        lineups = dict.fromkeys(subject.lineup for subject in found if subject.durability == durability)
        for lineup in sorted(lineups, key=lambda name: name != "embedded"):
            chosen = {s: found[s] for s in found if (s.lineup, s.durability) == (lineup, durability)}
            heading = "in this process" if lineup == "embedded" else f"beside {lineup}"
            parts.append(f"### {heading}, durability: {durability}\n\n" + _by_bench(chosen))
    return "\n\n".join(parts)


def _by_bench(chosen: dict[Subject, Summary]) -> str:
    names = list(dict.fromkeys(subject.peer for subject in chosen))
    benches = dict.fromkeys(subject.bench for subject in chosen)
    cells = {(subject.bench, subject.peer): summary for subject, summary in chosen.items()}
    rows = [[bench, *(_cell(cells.get((bench, name))) for name in names)] for bench in benches]
    return _table(["", *names], rows)


def _rates(title: str, suite: str, summaries: dict[Subject, Summary], path: str | None) -> str:
    """Events a second, one table for each line-up."""
    found = {subject: summary for subject, summary in summaries.items() if subject.suite == suite}
    parts = [f"## {title}\n\nEvents a second.\n\n" + _plot(title, path).strip()]
    for lineup, durability in dict.fromkeys((subject.lineup, subject.durability) for subject in found):
        chosen = {s: found[s] for s in found if (s.lineup, s.durability) == (lineup, durability)}
        heading = "" if lineup == "embedded" and durability == "process" else f"### {lineup}, durability: {durability}\n\n"
        parts.append(heading + _by_bench(chosen))
    return "\n\n".join(parts).replace("\n\n\n\n", "\n\n") if found else ""


def _statistics(title: str, suite: str, summaries: dict[Subject, Summary], path: str | None) -> str:
    """Times and sizes: a row for each contender and bench, a column for each statistic."""
    found = {subject: summary for subject, summary in summaries.items() if subject.suite == suite}
    if not found:
        return ""
    names = list(dict.fromkeys(subject.statistic for subject in found))
    rows = dict.fromkeys(subject._replace(statistic="") for subject in found)
    lines = []
    for row in rows:
        cells = [found.get(row._replace(statistic=name)) for name in names]
        unit = next(cell.unit for cell in cells if cell is not None)
        lines.append([row.lineup, row.peer, row.bench, row.durability, unit, *map(_cell, cells)])
    headers = ["line-up", "contender", "", "durability", "unit", *names]
    return f"## {title}\n\n" + _plot(title, path) + _table(headers, lines)


def _contenders(results: Results) -> str:
    rows: dict[str, list[str]] = {}
    for run in results.runs:
        for name, about in run["peers"].items():
            versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
            settings = about["settings"]
            rows[name] = [name, versions, settings.get("process", "-"), settings.get("disk", "-")]
    return "## Contenders\n\n" + _table(["", "versions", "for \"process\"", "for \"disk\""], rows.values())


def _left_out(results: Results) -> str:
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for skip in results.skips:
        rows.setdefault((skip.peer, skip.reason), {})[skip.bench or "everything"] = None
    lines = [[peer, ", ".join(benches), reason] for (peer, reason), benches in sorted(rows.items())]
    return "## What was left out, and why\n\n" + _table(["contender", "what", "why"], lines) if lines else ""
