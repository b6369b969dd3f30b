"""Which start of the machine this is: what was mapped before it says nothing any more."""

from __future__ import annotations

import functools
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot_id() -> bytes:
    """16 bytes that are the same until the machine starts anew."""
    return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
