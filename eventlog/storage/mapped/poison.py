"""Poison of a partition's head that is not the errno of a failed write."""

from __future__ import annotations

DAMAGED = 74  # EBADMSG: recovery found damage that it must not touch
DELETED = 43  # EIDRM: the topic was deleted
