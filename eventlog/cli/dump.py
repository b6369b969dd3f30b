"""`eventlog dump`: show what stands in the files of a partition."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventlog.cli import output
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import Record
    from eventlog.storage.inspection import BatchInfo

_VALUE_CHARACTERS = 60
_BATCH_LINE = "{:>10}  {:>15}  {:>7}  {:>8}  {:<6}  {:<24}"


@click.command()
@click.argument("target", metavar="FILE|TOPIC/PARTITION")
@click.option("--records", "with_records", is_flag=True, help="Show the records in each batch, too.")
@output.json_option
def dump(target: str, with_records: bool, as_json: bool) -> None:
    """Show the batches or index entries in a partition's files.

    A .log file holds batches of records; an .index and a .timeindex file hold entries. A FILE needs no store.
    TOPIC/PARTITION shows all .log files of a partition of the store.

    \b
    Example:
      eventlog dump orders/0 --records
      eventlog dump shop/logs/orders-0/00000000000000000000.index
    """
    path = Path(target)
    if os.path.lexists(target):
        _dump_file(path, with_records, as_json)
        return
    partition = re.fullmatch(r"([^/]+)/([0-9]{1,9})", target)
    if partition is None:
        raise click.ClickException(f"{target}: no such file, and not TOPIC/PARTITION")
    with open_store() as log:
        directory = log.partition(partition[1], int(partition[2])).directory
        for log_path in sorted(directory.glob("*.log")):
            if not as_json:
                output.write_line(f"{log_path}:")
            _dump_log(log_path, with_records, as_json)


def _dump_file(path: Path, with_records: bool, as_json: bool) -> None:
    with open(path, "rb"):
        pass  # A directory, or a file that cannot be read, is told here in the system's words.
    if path.suffix == ".log":
        _dump_log(path, with_records, as_json)
        return
    if with_records:
        raise click.UsageError("--records is for .log files")
    if path.suffix == ".index":
        _dump_index(path, as_json)
    elif path.suffix == ".timeindex":
        _dump_time_index(path, as_json)
    else:
        raise click.UsageError(f"{path} is not a .log, .index or .timeindex file")


def _dump_log(path: Path, with_records: bool, as_json: bool) -> None:
    from eventlog.storage.inspection import iterate_batches, iterate_records

    if not as_json:
        output.write_line(_BATCH_LINE.format("POSITION", "OFFSETS", "RECORDS", "BYTES", "CODEC", "LATEST").rstrip())
    if not with_records:
        mismatches = 0
        for batch in iterate_batches(path):
            _write_batch(path, batch, as_json)
            mismatches += not batch.crc_valid
        if mismatches:
            raise click.ClickException(f"{path}: the CRC32C of {mismatches} of the batches does not match")
        return
    for batch, records in iterate_records(path):
        _write_batch(path, batch, as_json)
        for record in records:
            if as_json:
                output.write_json({"type": "record", **output.record_object(record)})
            else:
                output.write_line(_record_line(record))


def _write_batch(path: Path, batch: BatchInfo, as_json: bool) -> None:
    output.write_json(_batch_object(path, batch)) if as_json else output.write_line(_batch_line(batch))


def _batch_object(path: Path, batch: BatchInfo) -> dict[str, Any]:
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


def _batch_line(batch: BatchInfo) -> str:
    """The columns every batch has, and behind them what is out of the ordinary."""
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


def _dump_index(path: Path, as_json: bool) -> None:
    from eventlog.storage.inspection import iterate_index

    if not as_json:
        output.write_line(f"{'OFFSET':>20}  {'POSITION':>10}")
    for entry in iterate_index(path):
        if as_json:
            output.write_json({"type": "index", "offset": entry.offset, "position": entry.position})
        else:
            output.write_line(f"{entry.offset:>20}  {entry.position:>10}")


def _dump_time_index(path: Path, as_json: bool) -> None:
    from eventlog.storage.inspection import iterate_time_index

    if not as_json:
        output.write_line(f"{'OFFSET':>20}  TIMESTAMP")
    for entry in iterate_time_index(path):
        if as_json:
            output.write_json({"type": "time_index", "timestamp": entry.timestamp, "offset": entry.offset})
        else:
            output.write_line(f"{entry.offset:>20}  {output.time_text(entry.timestamp)}")
