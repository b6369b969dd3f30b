"""Several context managers as one, left in native code, which a signal handler cannot end half way."""

from eventlog._native import Nested

__all__ = ["Nested"]
