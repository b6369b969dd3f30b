"""`eventlog serve`: the store for clients that speak Kafka's protocol."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import click

from eventlog.cli import output
from eventlog.cli.command_group import CommandGroup
from eventlog.cli.parsing import Seconds
from eventlog.cli.store import open_store, store_directory
from eventlog.cli.users import users
from eventlog.options import FSYNC_POLICIES

if TYPE_CHECKING:
    from eventlog.serve.broker import Settings
    from eventlog.serve.security.tls import TlsFiles

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_PORT_MAX = 65_535
_CHECK_SECONDS = 5.0


def address_type(text: str) -> tuple[str, int]:
    """The type of an option that takes HOST:PORT. Raises click.BadParameter."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _PORT_MAX:
        raise click.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:9092 or [::1]:9092")
    return match["ipv6"] or match["host"], int(match["port"])


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    type=address_type,
    default="127.0.0.1:9092",
    show_default=True,
    help="Where clients connect. With port 0 the system chooses one.",
)
@click.option(
    "--advertise", metavar="HOST:PORT", type=address_type, help="Where clients are told to connect. Default: where they have."
)
@click.option(
    "--partitions", metavar="N", type=click.IntRange(1, 100_000), default=1, help="Partitions of a topic that a client names."
)
@click.option(
    "--workers", metavar="N", type=click.IntRange(1, 64), default=1, help="Serve with N processes, at N ports from this one on."
)
@click.option("--no-auto-create", is_flag=True, help="Do not create a topic when a client names it.")
@click.option(
    "--accept-replication", is_flag=True, help="Create topics that are asked for with several replicas; they have one."
)
@click.option(
    "--fsync",
    type=click.Choice(FSYNC_POLICIES),
    default="interval",
    show_default=True,
    help="When what clients send is put on disk.",
)
@click.option(
    "--consumer-session-timeout",
    metavar="MS",
    type=click.IntRange(1, 3_600_000),
    default=45_000,
    show_default=True,
    help="How long a member of a group of the consumer protocol may be silent.",
)
@click.option("--tls-cert", metavar="FILE", help="Encrypt connections: the server's certificate, in PEM.")
@click.option("--tls-key", metavar="FILE", help="The private key of the certificate, in PEM.")
@click.option(
    "--tls-client-ca", metavar="FILE", help="Admit only clients with a certificate of one of these authorities, in PEM."
)
@click.option("--users", "has_users", is_flag=True, help="Admit only clients that authenticate as a user of the store.")
@click.option(
    "--session-seconds", metavar="SECONDS", type=Seconds(1, 1e6), help="Let users authenticate again after so long."
)
@click.option("--insecure", is_flag=True, help="Allow an address that other machines can reach.")
@click.option(
    "--stop-when-idle", metavar="SECONDS", type=Seconds(0, 1e9), help="Stop if no client is connected for so long."
)
@click.option("--check", is_flag=True, help="Only check that a server answers at the address, for health checks.")
@output.json_option
@click.pass_context
def serve(
    context: click.Context,
    /,
    listen: tuple[str, int],
    advertise: tuple[str, int] | None,
    partitions: int,
    workers: int,
    no_auto_create: bool,
    accept_replication: bool,
    fsync: str,
    consumer_session_timeout: int,
    has_users: bool,
    session_seconds: float | None,
    insecure: bool,
    stop_when_idle: float | None,
    check: bool,
    as_json: bool,
    **tls_paths: str | None,
) -> None:
    """Serve the store to Kafka's clients, until Ctrl-C or SIGTERM.

    Python processes can use the same store at the same time, as they do without a server, and both see the same topics
    and offsets. Without --users, anyone who reaches the address can read and write everything. So it has to be one of this
    machine, unless --users and --tls-cert, or --insecure, are given. The store is created if it does not exist.

    \b
    Example:
      eventlog serve
      eventlog serve --listen 127.0.0.1:0 --partitions 4
      eventlog serve --workers 4
      eventlog serve --check
    """
    if context.invoked_subcommand is not None:
        return
    tls = _tls_files(**tls_paths)
    if check:
        _check(listen, is_encrypted=tls is not None, as_json=as_json)
        return
    _check_workers(workers, [listen, *([advertise] if advertise else [])], stop_when_idle)
    store = store_directory()
    signal.signal(signal.SIGTERM, _end)  # process 1 of a container would ignore it until the server has its own handler
    from eventlog.serve.addresses import check_local
    from eventlog.serve.broker import Settings
    from eventlog.serve.coordinator.consumer_group_registry import ConsumerGroupSettings

    if not insecure and not (has_users and tls is not None):
        check_local(listen[0])
    _raise_file_limit()
    _start_log()
    timeouts = ConsumerGroupSettings.of_session(consumer_session_timeout)
    settings = Settings(
        not no_auto_create, partitions, accept_replication, tls, consumer_groups=timeouts, has_users=has_users,
        session_seconds=session_seconds,
    )  # fmt: skip
    _serve(store, settings, listen, advertise, workers, fsync, stop_when_idle, as_json=as_json)


def _serve(
    store: str,
    settings: Settings,
    listen: tuple[str, int],
    advertise: tuple[str, int] | None,
    workers: int,
    fsync: str,
    stop_when_idle: float | None,
    *,
    as_json: bool,
) -> None:
    import asyncio

    from eventlog.serve.server import run
    from eventlog.serve.workers import PORT_IN_USE, Worker, start_workers

    def ready(addresses: list[tuple[str, int]]) -> None:
        security = f"{', TLS' if settings.tls else ''}{', users' if settings.has_users else ''}"
        _tell_ready(store, addresses, f"fsync {fsync}{security}", as_json=as_json)

    worker = start_workers(workers, ready) if workers > 1 else Worker(0, None, None, lambda address: ready([address]))
    if worker is not None:
        settings = settings._replace(number=worker.number + 1)
        with open_store(create=True, fsync=fsync) as log:
            log.start_maintenance()
            serving = run(
                log, worker.address or _nth(listen, worker.number), worker.ready, settings=settings,
                advertised=None if advertise is None else _nth(advertise, worker.number),
                idle_seconds_max=stop_when_idle, parent=worker.parent,
            )  # fmt: skip
            try:
                asyncio.run(serving)
            except OSError as error:
                if worker.address is None or error.errno != errno.EADDRINUSE:
                    raise
                sys.exit(PORT_IN_USE)  # clients' connections take such ports, too, and end: the parent tries again
    if not as_json and (worker is None or worker.parent is None):
        output.write_line("stopped")


def _check_workers(workers: int, addresses: list[tuple[str, int]], stop_when_idle: float | None) -> None:
    if addresses[1:] and addresses[1][1] == 0:
        raise click.UsageError("--advertise needs the port that clients are to connect to")
    if workers > 1 and stop_when_idle is not None:
        raise click.UsageError("--stop-when-idle is for a single process, and --workers for several")
    if max(port for _, port in addresses) + workers - 1 > _PORT_MAX:
        raise click.UsageError(f"{workers} workers have no ports up to {_PORT_MAX} there")


def _nth(address: tuple[str, int], number: int) -> tuple[str, int]:
    """The address of the worker with this number, counted from 0."""
    return address[0], address[1] + number if address[1] else 0


def _start_log() -> None:
    from eventlog.serve.flood import FloodFilter

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logger = logging.getLogger("eventlog.serve")
    logger.setLevel(logging.INFO)
    logger.addFilter(FloodFilter())


def _raise_file_limit() -> None:
    """Open as many files as the system allows: each connection takes one, each partition 4."""
    import resource

    limit, limit_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != limit_max:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_max, limit_max))


def _end(number: int, frame: object) -> None:
    sys.exit(0)


def _address_text(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _tell_ready(store: str, addresses: list[tuple[str, int]], settings: str, *, as_json: bool) -> None:
    """Say that clients can connect: on standard output, and to systemd if it has started the program."""
    from eventlog import __version__
    from eventlog.serve.readiness import tell_ready

    bootstrap = ",".join(map(_address_text, addresses))
    if as_json:
        output.write_json({
            "store": store, "host": addresses[0][0], "port": addresses[0][1], "bootstrap": bootstrap, "process": os.getpid(),
            "version": __version__,
        })  # fmt: skip
    else:
        output.write_line(f"serving {store} at {bootstrap}")
        output.write_line(f"version {__version__}, process {os.getpid()}, {settings}; Ctrl-C or SIGTERM stops it")
    output.flush()
    tell_ready(f"serving {store} at {bootstrap}")


def _check(address: tuple[str, int], *, is_encrypted: bool, as_json: bool) -> None:
    from eventlog.serve.health import check_health

    seconds = check_health(*address, is_encrypted=is_encrypted, seconds=_CHECK_SECONDS)
    if as_json:
        output.write_json({"host": address[0], "port": address[1], "seconds": round(seconds, 6)})
    else:
        output.write_line(f"a server answers at {_address_text(address)} after {1000 * seconds:.1f} ms")


def _tls_files(tls_cert: str | None, tls_key: str | None, tls_client_ca: str | None) -> TlsFiles | None:
    """The files for TLS, if any, which can be used. Raises click.UsageError, InvalidArgumentError."""
    if tls_cert is None and tls_key is None and tls_client_ca is None:
        return None
    if tls_cert is None or tls_key is None:
        raise click.UsageError("--tls-cert and --tls-key go together, and --tls-client-ca needs both")
    from eventlog.serve.security.tls import TlsFiles, new_context

    files = TlsFiles(tls_cert, tls_key, tls_client_ca)
    new_context(files)  # before the store is created
    return files


serve.add_command(users)
