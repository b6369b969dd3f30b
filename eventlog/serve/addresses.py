"""Addresses to listen at: only this machine's own, as long as nobody has to say who he is."""

from __future__ import annotations

import ipaddress
import socket

from eventlog.errors import InvalidArgumentError


def check_local(host: str) -> None:
    """Raise `InvalidArgumentError` unless every address of a host is one that only this machine reaches."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidArgumentError(f"{host!r} is not an address to listen at: {error.strerror or error}") from None
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise InvalidArgumentError(
                f"{host} can be reached from other machines, and whoever reaches it may read and write everything: listen at "
                "127.0.0.1, or say that this is wanted with --insecure"
            )
