"""Several context managers as one. Native code leaves them, so a signal handler cannot interrupt it half way."""

from eventlog._native import Nested

__all__ = ["Nested"]
