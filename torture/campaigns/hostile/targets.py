"""The Python targets of fuzzing: `python -m torture.campaigns.hostile.targets NAME [libFuzzer's options]`.

Each takes bytes and hands them to entries of the library. Whatever the bytes are, only errors that the library documents may
come out; anything else, and more memory than libFuzzer's `-rss_limit_mb` allows, ends the run. Source of the tool: https://github.com/google/atheris.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["eventlog"]):
    import click

    import eventlog
    from eventlog import cli
    from eventlog._native import ffi, lib
    from eventlog.admin import manifest
    from eventlog.cli import parsing, selection, template
    from eventlog.errors import EventLogError, UnsupportedCodecError
    from eventlog.records.compression import SECTION_BYTES_MAX, decompress

from torture.campaigns.hostile.arguments import CALLS, Argument
from torture.campaigns.hostile.messages import amqp_messages, stomp_frames

_DIRECTORY = Path(tempfile.mkdtemp())  # of whoever has started this: nothing runs at the end of a fuzzer
_PARTITION_FILES = (
    "00000000000000000000.index", "00000000000000000000.timeindex", "leader-epoch-checkpoint", "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint", "tombstone-horizon-checkpoint",
)  # fmt: skip


def _sealed(data: bytes) -> bytes:
    """Batch after batch with the checksum that belongs to it: behind a wrong one nothing else is looked at."""
    content = bytearray(data)
    batch = ffi.new("el_batch *")
    at = 0
    while at < len(content):
        rest = ffi.from_buffer("uint8_t[]", content) + at
        if lib.el_batch_parse(rest, len(content) - at, batch) != lib.EL_CODEC_OK:
            break
        lib.el_batch_seal(rest, batch)
        at += batch.size_bytes
    return bytes(content)


def _command(*arguments: str) -> None:
    """Run a command of `eventlog` in this process."""
    with contextlib.suppress(click.ClickException, EventLogError, OSError):
        cli.group.main(args=list(arguments), prog_name="eventlog", standalone_mode=False)


def _look_at(log: eventlog.EventLog) -> None:
    """Everything that reads a partition."""
    partition = log.partition("events", 0)
    lookups: tuple[Callable[[], Any], ...] = (
        lambda: list(partition.values()),
        lambda: list(partition.records()),
        lambda: list(partition.search(b"e", fields=("key", "value", "headers"))),
        lambda: partition.read(partition.end_offset - 1),
        lambda: partition.offset_for_time(1_000),
        lambda: log.verify(),
        lambda: partition.delete_records(partition.start_offset + 1),
        lambda: log.maintain(compact_all=True),
        lambda: log.repair("events", 0),
        lambda: partition.append(b"one more"),
        lambda: partition.read(partition.end_offset - 1),
    )
    for look in lookups:
        with contextlib.suppress(EventLogError):
            look()


def partition_files(data: bytes) -> None:
    """A directory that somebody put into `logs/`, with anything in its files."""
    provider = atheris.FuzzedDataProvider(data)
    store = _DIRECTORY / "store"
    directory = store / "logs" / "events-0"
    directory.mkdir(parents=True)
    choices = provider.ConsumeIntInRange(0, 255)
    for name in _PARTITION_FILES:
        if choices & 1:
            (directory / name).write_bytes(provider.ConsumeBytes(provider.ConsumeIntInRange(0, 64)))
        choices >>= 1
    log_bytes = provider.ConsumeBytes(provider.remaining_bytes())
    base_offset = 10 ** provider.ConsumeIntInRange(0, 19) if choices & 4 else 0
    (directory / f"{base_offset:020d}.log").write_bytes(_sealed(log_bytes) if choices & 1 else log_bytes)
    try:
        with contextlib.suppress(EventLogError):
            if choices & 2:
                eventlog.open(store).close()
                with eventlog.open(store) as log:
                    log.alter_topic("events", config={"cleanup.policy": "compact"})
            with eventlog.open(store) as log:
                _look_at(log)
        for path in sorted(directory.glob("*")):
            _command("dump", str(path))
        eventlog.diagnose(store, deep=True)
    finally:
        shutil.rmtree(store)


def compressed_sections(data: bytes) -> None:
    """A compressed section of any codec: bytes within the bound, a `ValueError`, or the word that the codec is not known."""
    if data:
        with contextlib.suppress(ValueError, UnsupportedCodecError):
            assert len(decompress(data[0] % 8, data[1:])) <= SECTION_BYTES_MAX


def words(data: bytes) -> None:
    """Words of the command line: templates, times, starts, settings; and a template filled in from any record."""
    provider = atheris.FuzzedDataProvider(data)
    text = provider.ConsumeBytes(60).decode("utf-8", "surrogateescape")  # as words come from the system
    for parse in (parsing.time_type, parsing.start_type, parsing.stop_type, selection.format_type):
        with contextlib.suppress(click.BadParameter):
            parse(text)
    with contextlib.suppress(click.BadParameter):
        parsing.parse_settings([text, text[1:]])
    try:
        layout = template.Template(text)
    except ValueError:
        return
    timestamp = provider.ConsumeIntInRange(-(2**63), 2**63 - 1)
    headers = ((provider.ConsumeUnicodeNoSurrogates(4), provider.ConsumeBytes(4)), ("name", None))
    key, value = provider.ConsumeBytes(20), provider.ConsumeBytes(provider.remaining_bytes())
    assert isinstance(layout.render(eventlog.Record("events", 0, 2**63 - 1, timestamp, key, value, headers)), bytes)


def imported_files(data: bytes) -> None:
    """Files that somebody else has made: offsets of a group, and the manifest of a backup, with a right checksum or not."""
    store = _DIRECTORY / "imports"
    if not store.exists():
        with eventlog.open(store) as log:
            log.create_topic("events", 2)
    file = _DIRECTORY / "backup.json"
    content = data[1:]
    if data[:1] == b"m":
        with contextlib.suppress(Exception):
            content = _signed_manifest(content)
        file.write_bytes(content)
        with contextlib.suppress(EventLogError):
            found = manifest.read_manifest(_DIRECTORY)
            assert isinstance(found.size_bytes + found.records, int)
    else:
        file.write_bytes(content)
        with contextlib.suppress(EventLogError):
            _command("--store", str(store), "groups", "import", "billing", str(file), "--execute")


def _signed_manifest(content: bytes) -> bytes:
    """The same JSON with the checksum that belongs to it, written as manifests are."""
    fields = json.loads(content)
    fields.pop("crc32c", None)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**fields, "crc32c": lib.el_crc32c(0, text, len(text))}, indent=1).encode() + b"\n"


_open_log: list[eventlog.EventLog] = []


def arguments(data: bytes) -> None:
    """Calls with arguments of any type and size: each is done, or refused by one of the library's errors."""
    provider = atheris.FuzzedDataProvider(data)
    if not _open_log:
        _open_log.append(eventlog.open(_DIRECTORY / "arguments"))
        _open_log[0].create_topic("events", 2, {"segment.bytes": 65536, "retention.bytes": 65536})
    while provider.remaining_bytes():
        call = CALLS[provider.ConsumeIntInRange(0, len(CALLS) - 1)]
        with contextlib.suppress(EventLogError):
            call(_open_log[0], Argument(provider))
    if _open_log[0].partition("events", 0).end_offset > 10_000:
        _open_log[0].maintain()


TARGETS = {
    function.__name__: function
    for function in (
        partition_files, compressed_sections, words, imported_files, arguments, stomp_frames, amqp_messages,
    )
}  # fmt: skip


def main() -> None:
    name, *options = sys.argv[1:]
    os.environ["EVENTLOG_STORE"] = str(_DIRECTORY / "none")
    atheris.Setup([name, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
