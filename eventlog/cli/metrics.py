"""`eventlog metrics`: the store's numbers for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.serve import address_type
from eventlog.cli.store import open_store

_LOOPBACK = "127.0.0.1"

if TYPE_CHECKING:
    from eventlog import Metrics


def listen_type(text: str) -> tuple[str, int]:
    """The type of an option that takes HOST:PORT, or only PORT for this machine alone. Raises click.BadParameter."""
    return address_type(text if ":" in text else f"{_LOOPBACK}:{text}")


@click.command()
@click.option(
    "--output", "path", metavar="FILE", type=click.Path(dir_okay=False), help="Write to FILE, which is replaced in one step."
)
@click.option("--listen", metavar="[HOST:]PORT", type=listen_type, help="Serve them at this address until Ctrl-C or SIGTERM.")
@output.json_option
def metrics(path: str | None, listen: tuple[str, int] | None, as_json: bool) -> None:
    """Print the store's metrics in Prometheus' text format.

    Offsets, bytes and segments of every partition; members, committed offsets and lag of every group; the catalog's
    size and the free disk space. --output is for node_exporter's textfile collector, which must never see half a file.
    --listen is for Prometheus itself, which reads http://HOST:PORT/metrics; without HOST, only from this machine.

    \b
    Example:
      eventlog metrics
      eventlog metrics --output /var/lib/node_exporter/eventlog.prom
      eventlog metrics --listen 9464
    """
    if listen is not None:
        if path is not None or as_json:
            raise click.UsageError("--listen goes neither with --output nor with --json")
        _serve(listen)
        return
    with open_store() as log:
        found = log.metrics()
    text = "".join(f"{line}\n" for line in _json_lines(found)) if as_json else found.prometheus()
    if path is None:
        output.standard_output().write(text.encode())
    else:
        _replace(path, text.encode())


def _serve(listen: tuple[str, int]) -> None:
    from eventlog.cli.metrics_server import serve_metrics

    with open_store() as log:
        serve_metrics(log, listen)


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
