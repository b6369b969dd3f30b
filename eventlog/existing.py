"""To create something unless it exists, though others may create or delete it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from eventlog.errors import TopicExistsError, TopicNotFoundError

_Topic = TypeVar("_Topic")


def created_or_found(create: Callable[[], _Topic], find: Callable[[], _Topic]) -> _Topic:
    """The new topic, or the one that exists. Raises what `create` raises for other reasons."""
    while True:
        try:
            return create()
        except TopicExistsError:
            with suppress(TopicNotFoundError):  # it was deleted just now
                return find()
