"""How far a bridge is, and how it does: for its own process, and by the store's files for all others."""

from __future__ import annotations

from typing import Any, NamedTuple

CONNECTING = "connecting"
RUNNING = "running"
WAITING = "waiting"  # for the next attempt to connect
STOPPED = "stopped"
FAILED = "failed"


class BridgeProgress(NamedTuple):
    """A bridge at one moment.

    `direction` is "ship", "collect" or "mirror", `topic` the topic, or a mirror's patterns. `url` is the other end without
    secrets, `system` what is there ("" until it is known), `state` "connecting", "running", "waiting" (for the next attempt),
    "stopped" or "failed". `records` and `bytes` are those that the other system has confirmed, or that were appended. `refused`
    records were not taken, `recognised` messages were there already. `in_flight` records were sent and not confirmed. `depth`
    messages wait at the other end, None if that is not known. `member` is the number of the bridge in its `group`; both are
    None unless it ships."""

    direction: str
    topic: str
    url: str
    system: str = ""
    state: str = STOPPED
    records: int = 0
    bytes: int = 0
    refused: int = 0
    recognised: int = 0
    reconnects: int = 0
    in_flight: int = 0
    depth: int | None = None
    last_error: str | None = None
    process_id: int = 0
    started_ms: int = 0
    group: str | None = None
    member: int | None = None

    @classmethod
    def of(cls, fields: dict[str, Any]) -> BridgeProgress:
        """From the fields that another process has shown; those that this version does not know are left out."""
        return cls(**{name: value for name, value in fields.items() if name in cls._fields})
