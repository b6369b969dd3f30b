"""`eventlog web`: a page to look around in a store with a browser."""

from __future__ import annotations

import ipaddress
import os
from typing import IO

import click

from eventlog.cli import output
from eventlog.cli.metrics import listen_type
from eventlog.cli.parsing import interval_option
from eventlog.cli.store import open_store, store_directory

_TOKEN_VARIABLE = "EVENTLOG_WEB_TOKEN"
_TOKEN_LENGTH_MIN = 16


@click.command()
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    type=listen_type,
    default="127.0.0.1:8080",
    show_default=True,
    help="Where browsers connect. With port 0 the system chooses one.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.File("r"),
    help=f"A secret that browsers have to give; else {_TOKEN_VARIABLE}. Needed where others can connect.",
)
@interval_option
@output.json_option
def web(listen: tuple[str, int], token_file: IO[str] | None, seconds: float, as_json: bool) -> None:
    """Look around in a store with a browser, until Ctrl-C or SIGTERM.

    The page shows topics, records, and groups with their lag, live. It changes nothing. By default only programs on
    this machine can connect; at any other address, browsers have to give a token. It is not encrypted.

    \b
    Example:
      eventlog web
      eventlog web --listen 0.0.0.0:8080 --token-file secret.txt
    """
    token = _token(token_file)
    if token is None and not _is_loopback(listen[0]):
        raise click.UsageError(
            f"others can connect to {listen[0]}: give a token by --token-file or {_TOKEN_VARIABLE}, or listen at 127.0.0.1"
        )
    from eventlog.cli.web_server import StoreServer

    def announce(address: str) -> None:
        url = f"http://{address}/"
        if as_json:
            output.write_json({"url": url})
        else:
            output.write_line(f"the store is shown at {url}")
        output.flush()

    with open_store(read_only=True) as log:
        StoreServer(log, listen, store_directory(), seconds, token).serve_until_stopped(announce)


def _token(file: IO[str] | None) -> str | None:
    text = os.environ.get(_TOKEN_VARIABLE) if file is None else file.read()
    if text is None:
        return None
    token = text.strip()
    if len(token) < _TOKEN_LENGTH_MIN or not (token.isascii() and token.isprintable()):
        raise click.UsageError(f"the token must have at least {_TOKEN_LENGTH_MIN} ASCII characters, all of them printable")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
