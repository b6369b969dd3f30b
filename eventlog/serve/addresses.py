"""Addresses to listen at: only those of this machine, unless clients are authenticated."""

from __future__ import annotations

import ipaddress
import socket

from eventlog.errors import InvalidArgumentError


def check_local(host: str) -> None:
    """Raise `InvalidArgumentError` unless only this machine can reach the addresses of a host."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidArgumentError(f"{host!r} is not an address to listen at: {error.strerror or error}") from None
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise InvalidArgumentError(
                f"{host} can be reached from other machines, and anyone who reaches it can read and write everything: use "
                "--users with --tls-cert and --tls-key, listen at 127.0.0.1, or use --insecure if this is intended"
            )
