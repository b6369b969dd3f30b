"""The current boot of the machine: files that were mapped before it no longer mean anything."""

from __future__ import annotations

import functools
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot_id() -> bytes:
    """16 bytes that stay the same until the machine restarts."""
    return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
