"""How a topic is told apart from all others, wherever its store is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from eventlog.catalog.topics import TopicDescription

if TYPE_CHECKING:
    from eventlog import contract

_ID_CHARACTERS = 16


def topic_id(topic: contract.Topic) -> str:
    """As `Origin.id`. A topic that is not in a directory is known by its name."""
    made = f" {topic.created_ms} {topic.made_by(0)}" if isinstance(topic, TopicDescription) else ""
    return hashlib.sha256(f"{topic.name}{made}".encode()).hexdigest()[:_ID_CHARACTERS]
