"""Values of the poison in a partition's head that are not the errno of a failed write."""

from __future__ import annotations

DAMAGED = 74  # EBADMSG: recovery found damage that it must not change
DELETED = 43  # EIDRM: the topic was deleted
READ_ONLY = 30  # EROFS: only in the page of a process that has opened the store to read
