"""Making a worker from what its caller gives."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.groups.registry import Groups
from eventlog.groups.sharing import open_share_group
from eventlog.log import Log
from eventlog.options import check_group_name, check_topic_name
from eventlog.worker.core import WorkerCore
from eventlog.worker.settings import ShareConfig, parse_share_settings
from eventlog.worker.worker import Worker


def make_worker(log: Log, groups: Groups, topics: object, group: object, config: Mapping[str, object] | None) -> Worker:
    """As `EventLog.worker`."""
    names, name = _as_topics(topics), check_group_name(group)
    _, settings = open_share_group(groups, name, parse_share_settings(config))
    return Worker(WorkerCore(log, groups, names, name, ShareConfig.of(settings)))


def _as_topics(topics: object) -> tuple[str, ...]:
    """Names in the order given, each once."""
    names = [topics] if isinstance(topics, str) else topics
    if not isinstance(names, (list, tuple)):
        raise InvalidTypeError(f"topics must be a name or a list of names, not {type(topics).__name__}")
    if not names:
        raise InvalidArgumentError("topics is empty: name at least one")
    return tuple(dict.fromkeys(check_topic_name(name) for name in names))
