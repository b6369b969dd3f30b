"""`eventlog dump`: show the content of a partition's files."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.parsing import OFFSET_MAX
from eventlog.cli.spelling import parse_one
from eventlog.cli.store import open_store
from eventlog.errors import InvalidArgumentError

if TYPE_CHECKING:
    from eventlog import Partition, Record
    from eventlog.storage.segments.batches import Batch
    from eventlog.storage.segments.index import IndexEntry, TimeIndexEntry

_VALUE_CHARACTERS = 60
_EPOCHS = "leader-epoch-checkpoint"
_DISCARDED = (".deleted", ".cleaned", ".swap")  # what Kafka adds to the names of files that it is replacing
_BATCH_LINE = "{:>10}  {:>15}  {:>7}  {:>8}  {:<6}  {:<24}"


@dataclass
class _View:
    """What is to be shown of the files, and how much of it."""

    kind: str
    with_records: bool
    is_checked: bool
    as_json: bool
    first_offset: int
    rest: int
    end_offset: int = sys.maxsize  # entries at or after it belong to an append in progress

    def has_more(self) -> bool:
        """Count one that is about to be shown; False if there were enough."""
        self.rest -= 1
        return self.rest >= 0


@click.command()
@click.argument("target", metavar="FILE|TOPIC/PARTITION")
@click.option("--records", "with_records", is_flag=True, help="Also show the records in each batch.")
@click.option("--index", "kind", flag_value=".index", help="Show a partition's index entries instead of its batches.")
@click.option("--time-index", "kind", flag_value=".timeindex", help="Show a partition's time index entries instead.")
@click.option("--epochs", "kind", flag_value=_EPOCHS, help="Show a partition's leader epochs instead.")
@click.option("--check", "is_checked", is_flag=True, help="Check that each index entry points at a batch.")
@click.option(
    "--from",
    "first_offset",
    type=click.IntRange(0, OFFSET_MAX),
    metavar="OFFSET",
    help="Begin at the batch or entry with this offset, or at the next one.",
)
@click.option("-n", "--max", "count_max", type=click.IntRange(min=0), metavar="N", help="Stop after N batches or entries.")
@output.json_option
def dump(
    target: str,
    with_records: bool,
    kind: str | None,
    is_checked: bool,
    first_offset: int | None,
    count_max: int | None,
    as_json: bool,
) -> None:
    """Show the batches or index entries in a partition's files.

    A .log file holds batches of records; an .index and a .timeindex file hold entries, and leader-epoch-checkpoint
    the leader epochs. A FILE needs no store. TOPIC/PARTITION shows all files of one kind of a partition.

    \b
    Example:
      eventlog dump orders/0 --records --from 1200 --max 3
      eventlog dump orders/0 --index --check
      eventlog dump shop/logs/orders-0/00000000000000000000.index
    """
    is_file = os.path.lexists(target)
    if is_file and kind is not None:
        raise click.UsageError("--index, --time-index and --epochs need TOPIC/PARTITION: to see one file, name it")
    kind = _kind_of(Path(target)) if is_file else kind or ".log"
    if with_records and kind != ".log":
        raise click.UsageError("--records works on .log files only")
    if is_checked and kind not in (".index", ".timeindex"):
        raise click.UsageError("--check works on index entries only; the checksums of batches are always checked")
    rest = sys.maxsize if count_max is None else count_max
    view = _View(kind, with_records, is_checked, as_json, first_offset or 0, rest)
    if is_file:
        _show(Path(target), view)
        return
    try:
        topic, partition = parse_one(target)
    except (click.UsageError, InvalidArgumentError):
        raise click.ClickException(f"{target}: no such file, nor is it TOPIC/PARTITION") from None
    with open_store() as log:
        _dump_partition(log.partition(topic, partition), view, first_offset)


def _kind_of(path: Path) -> str:
    """What a file holds, by its name."""
    with open(path, "rb"):
        pass  # A directory, or a file that cannot be read, is told here in the system's words.
    if path.suffix in (".log", ".index", ".timeindex"):
        return path.suffix
    if path.name == _EPOCHS:
        return _EPOCHS
    hint = f"; to see its content, copy it to {path.stem}" if path.suffix in _DISCARDED else ""
    raise click.UsageError(f"{path} is not a .log, .index or .timeindex file, nor {_EPOCHS}{hint}")


def _dump_partition(partition: Partition, view: _View, first_offset: int | None) -> None:
    from eventlog.storage.segments.inspection import segments_from

    if first_offset is not None:
        partition.log.check_offset(first_offset)
    view.end_offset = partition.end_offset
    if view.kind == _EPOCHS:
        paths = [partition.directory / _EPOCHS]
    else:
        paths = [path.with_suffix(view.kind) for path in segments_from(partition.directory, view.first_offset)]
    for path in paths:
        if view.rest <= 0:
            break
        if path.exists() or view.kind == ".log":  # an index is a hint, and need not be there
            if not view.as_json:
                output.write_line(f"{path}:")
            _show(path, view)


def _show(path: Path, view: _View) -> None:
    if view.kind == ".log":
        _dump_records(path, view) if view.with_records else _dump_batches(path, view)
    elif view.kind == _EPOCHS:
        _dump_epochs(path, view)
    else:
        _dump_entries(path, view)


def _write_batch_head(view: _View) -> None:
    if not view.as_json:
        output.write_line(_BATCH_LINE.format("POSITION", "OFFSETS", "RECORDS", "BYTES", "CODEC", "LATEST").rstrip())


def _dump_batches(path: Path, view: _View) -> None:
    from eventlog.storage.segments.inspection import iterate_batches, position_near

    _write_batch_head(view)
    mismatches = 0
    start = position_near(path, view.first_offset) if view.first_offset else 0
    for batch in iterate_batches(path, start_position=start):
        if batch.last_offset < view.first_offset:
            continue
        if not view.has_more():
            break
        _write_batch(path, batch, view.as_json)
        mismatches += not batch.crc_valid
    if mismatches:
        raise click.ClickException(f"{path}: the CRC32C of {mismatches} of the batches does not match")


def _dump_records(path: Path, view: _View) -> None:
    from eventlog.storage.segments.inspection import iterate_records, position_near

    _write_batch_head(view)
    start = position_near(path, view.first_offset) if view.first_offset else 0
    for batch, records in iterate_records(path, start_position=start):
        if batch.last_offset < view.first_offset:
            continue
        if not view.has_more():
            break
        _write_batch(path, batch, view.as_json)
        for record in records:
            if view.as_json:
                output.write_json({"type": "record", **output.record_object(record)})
            else:
                output.write_line(_record_line(record))


def _write_batch(path: Path, batch: Batch, as_json: bool) -> None:
    output.write_json(_batch_object(path, batch)) if as_json else output.write_line(_batch_line(batch))


def _batch_object(path: Path, batch: Batch) -> dict[str, Any]:
    return {
        "type": "batch",
        "path": os.fspath(path),
        "position": batch.position,
        "size_bytes": batch.size_bytes,
        "base_offset": batch.base_offset,
        "last_offset": batch.last_offset,
        "records": batch.record_count,
        "leader_epoch": batch.leader_epoch,
        "crc": batch.crc,
        "crc_valid": batch.crc_valid,
        "compression": batch.compression,
        "timestamp_type": batch.timestamp_type,
        "base_timestamp": batch.base_timestamp,
        "max_timestamp": batch.max_timestamp,
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "is_transactional": batch.is_transactional,
        "is_control": batch.is_control,
    }


def _batch_line(batch: Batch) -> str:
    """The columns every batch has, followed by anything unusual."""
    line = _BATCH_LINE.format(
        batch.position,
        f"{batch.base_offset}..{batch.last_offset}",
        batch.record_count,
        batch.size_bytes,
        batch.compression,
        output.time_text(batch.max_timestamp),
    )
    notes = []
    if batch.leader_epoch:
        notes.append(f"epoch={batch.leader_epoch}")
    if batch.producer_id != -1:
        notes.append(f"producer={batch.producer_id}/{batch.producer_epoch} sequence={batch.base_sequence}")
    if batch.is_transactional:
        notes.append("transactional")
    if batch.is_control:
        notes.append("control")
    if not batch.crc_valid:
        notes.append("CRC MISMATCH")
    return "  ".join([line.rstrip(), *notes])


def _record_line(record: Record) -> str:
    parts = [f"    {record.offset}", output.time_text(record.timestamp)]
    if record.key is not None:
        parts.append(f"key={_shown(record.key)}")
    parts.append(f"value={_shown(record.value)}")
    parts += [f"{output.printable(name)}={_shown(value)}" for name, value in record.headers]
    return "  ".join(parts)


def _shown(data: bytes | None) -> str:
    """Bytes as one safe, short piece of text."""
    if data is None:
        return "null"
    text = output.printable(data[: _VALUE_CHARACTERS * 4].decode("utf-8", "backslashreplace"))
    if len(text) <= _VALUE_CHARACTERS and len(data) <= _VALUE_CHARACTERS * 4:
        return text
    return f"{text[:_VALUE_CHARACTERS]}... ({len(data)} bytes)"


def _dump_entries(path: Path, view: _View) -> None:
    from eventlog.storage.segments.inspection import iterate_index, iterate_time_index, names_its_batch

    is_time = view.kind == ".timeindex"
    if not view.as_json:
        output.write_line(f"{'OFFSET':>20}  TIMESTAMP" if is_time else f"{'OFFSET':>20}  {'POSITION':>10}")
    log_path = path.with_suffix(".log")
    if view.is_checked and not log_path.exists():
        raise click.ClickException(f"{log_path}: no such file, so nothing can be checked against it")
    wrong = 0
    for entry in iterate_time_index(path) if is_time else iterate_index(path):
        if entry.offset < view.first_offset:
            continue
        if not view.has_more():
            break
        # It is unknown whether the batch of an append in progress is there yet.
        is_known = view.is_checked and entry.offset < view.end_offset
        is_right = names_its_batch(log_path, entry) if is_known else None
        wrong += is_right is False
        _write_entry(path, entry, view, is_right)
    if wrong:
        raise click.ClickException(
            f"{path}: {wrong} of the entries do not point at a batch; reading without them is slower, but correct"
        )


def _write_entry(path: Path, entry: IndexEntry | TimeIndexEntry, view: _View, is_right: bool | None) -> None:
    from eventlog.storage.segments.index import IndexEntry

    if view.as_json:
        kind = "index" if isinstance(entry, IndexEntry) else "time_index"
        checked = {"valid": is_right} if view.is_checked else {}
        output.write_json({"type": kind, "path": os.fspath(path), **entry._asdict(), **checked})
        return
    where = f"{entry.position:>10}" if isinstance(entry, IndexEntry) else output.time_text(entry.timestamp)
    output.write_line(f"{entry.offset:>20}  {where}" + ("  POINTS AT NO BATCH" if is_right is False else ""))


def _dump_epochs(path: Path, view: _View) -> None:
    from eventlog.storage.segments.inspection import iterate_epochs

    if not view.as_json:
        output.write_line(f"{'EPOCH':>10}  {'START':>20}")
    for entry in iterate_epochs(path):
        if entry.start_offset < view.first_offset:
            continue
        if not view.has_more():
            break
        if view.as_json:
            output.write_json({"type": "epoch", "path": os.fspath(path), **entry._asdict()})
        else:
            output.write_line(f"{entry.leader_epoch:>10}  {entry.start_offset:>20}")
