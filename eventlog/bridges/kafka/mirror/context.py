"""What a mirror has to know, whichever its direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from eventlog.bridges.endpoints import OpenLog
from eventlog.bridges.kafka.mirror.differences import Selection
from eventlog.groups.registry import Groups
from eventlog.log import Log

if TYPE_CHECKING:
    from eventlog import contract


class MirrorContext(NamedTuple):
    """The store with its groups, how to read it without a group, what is mirrored, and how to open another log."""

    log: Log
    groups: Groups
    make_consumer: Callable[[], contract.Consumer]
    selection: Selection
    open_log: OpenLog
