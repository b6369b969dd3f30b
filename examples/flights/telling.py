"""The lines that the demo's processes print while they run."""

from __future__ import annotations

import multiprocessing
from datetime import datetime


def tell(text: str) -> None:
    """Print what happened in this process, with the time."""
    name = multiprocessing.current_process().name.replace("MainProcess", "demo")
    print(f"{datetime.now():%H:%M:%S.%f}"[:-3] + f"  {name:<10}  {text}", flush=True)
