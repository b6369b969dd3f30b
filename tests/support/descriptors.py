"""What this process has open."""

from __future__ import annotations

import os
from pathlib import Path


def open_files(directory: Path) -> list[str]:
    """The files and directories below, or the directory itself, that this process has open; deleted ones end with a note."""
    targets = []
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the one of the listing
            continue
    return sorted(target for target in targets if f"{target}/".startswith(f"{directory}/"))
