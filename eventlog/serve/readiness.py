"""Telling systemd that the server is ready, by its protocol sd_notify: a datagram to the socket in `NOTIFY_SOCKET`."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def tell_ready(status: str) -> None:
    """Say that clients can connect, with a line about it. Without systemd, or if it does not listen, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notified:
        notified.sendto(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}".encode(), address)
