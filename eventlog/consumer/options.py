"""The options of a consumer, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.groups.assignors import ASSIGNORS
from eventlog.options import check_bool, check_group_name, check_instance_id, check_milliseconds

RESETS = ("earliest", "latest", "error")
ISOLATIONS = ("read_committed", "read_uncommitted")


class ConsumerOptions(NamedTuple):
    """The options of `EventLog.consumer`."""

    group: str | None
    auto_offset_reset: str
    auto_commit: bool
    auto_commit_interval_ms: int
    assignor: str
    instance_id: str | None
    max_poll_interval_ms: int
    session_timeout_ms: int
    durable: bool
    isolation: str
    listener: RebalanceListener | None

    def check(self) -> None:
        """Raise `InvalidArgumentError` or `InvalidTypeError` if an option is not valid."""
        if self.group is not None:
            check_group_name(self.group)
        if self.instance_id is not None:
            check_instance_id(self.instance_id)
        for name in ("auto_commit_interval_ms", "max_poll_interval_ms", "session_timeout_ms"):
            check_milliseconds(name, getattr(self, name))
        for name in ("auto_commit", "durable"):
            check_bool(name, getattr(self, name))
        _check_choice("auto_offset_reset", self.auto_offset_reset, RESETS)
        _check_choice("isolation", self.isolation, ISOLATIONS)
        _check_choice("assignor", self.assignor, tuple(ASSIGNORS))
        if self.listener is not None and not isinstance(self.listener, RebalanceListener):
            raise InvalidTypeError(f"listener must be a RebalanceListener, not {type(self.listener).__name__}")
        if self.group is None and (self.auto_commit or self.instance_id is not None):
            raise InvalidArgumentError("auto_commit and instance_id need a consumer group: name it with group=")

    @property
    def is_committed(self) -> bool:
        """Are only records of committed transactions read?"""
        return self.isolation == "read_committed"

    @property
    def auto_commit_s(self) -> float | None:
        """Seconds between automatic commits; None without auto_commit."""
        return self.auto_commit_interval_ms / 1000 if self.auto_commit else None


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InvalidArgumentError(f"{name} is {value!r}, but must be one of {', '.join(choices)}")
