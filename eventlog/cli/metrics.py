"""`eventlog metrics`: the store's numbers for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.store import open_store

if TYPE_CHECKING:
    from eventlog import Metrics


@click.command()
@click.option(
    "--output", "path", metavar="FILE", type=click.Path(dir_okay=False), help="Write to FILE, which is replaced in one step."
)
@output.json_option
def metrics(path: str | None, as_json: bool) -> None:
    """Print the store's metrics in Prometheus' text format.

    Offsets, bytes and segments of every partition; members, committed offsets and lag of every group; the catalog's
    size and the free disk space. --output is for node_exporter's textfile collector, which must never see half a file.

    \b
    Example:
      eventlog metrics
      eventlog metrics --output /var/lib/node_exporter/eventlog.prom
    """
    with open_store() as log:
        found = log.metrics()
    text = "".join(f"{line}\n" for line in _json_lines(found)) if as_json else found.prometheus()
    if path is None:
        output.standard_output().write(text.encode())
    else:
        _replace(path, text.encode())


def _json_lines(found: Metrics) -> Iterator[str]:
    for metric in found.values():
        for labels, value in metric.samples:
            yield output.json_text({"name": metric.name, "kind": metric.kind, "labels": dict(labels), "value": value})


def _replace(path: str, content: bytes) -> None:
    """Let the file have this content, whole, or leave it as it was."""
    directory, name = os.path.split(path)
    unfinished = os.path.join(directory, f".{name}.{os.getpid()}")  # the collector takes *.prom only
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(unfinished)
        if isinstance(error, OSError):
            error.filename = path
        raise
