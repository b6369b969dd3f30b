"""The `eventlog` program, also as `python -m eventlog`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit. Without the packages that it needs, say how to install them."""
    try:
        from eventlog.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"eventlog: the command line needs {error.name}, which is not installed: pip install 'eventlog-store[cli]'")
    run()


if __name__ == "__main__":
    main()
