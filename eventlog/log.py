"""The log of an open store as users see it: topics and their partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from eventlog.catalog.topics import TopicDescription
from eventlog.errors import LockTimeoutError, TopicNotFoundError, translates_os_errors
from eventlog.existing import created_or_found
from eventlog.options import (
    Setting,
    StoreOptions,
    TopicConfig,
    check_bool,
    check_partition_count,
    check_topic_name,
    parse_changes,
    with_changes,
)
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize, read_partition_size
from eventlog.storage.mapped.limits import change_settings_of
from eventlog.storage.partition.partition import Partition
from eventlog.storage.partition.verification import verify
from eventlog.storage.segments import files, names
from eventlog.storage.segments.inspection import VerifyReport
from eventlog.store.store import Store


def alter_topic(
    store: Store, name: str, partitions: int | None, change: Callable[[Mapping[str, Setting]], dict[str, Setting]]
) -> TopicDescription:
    """Give a topic more partitions, and the settings that `change` makes of those that were given so far; as one step, so that
    no change by another process is lost. Raises what `Log.alter_topic` and `change` raise."""
    topic = store.catalog.topics.alter(name, partitions, change)
    settings, failure = topic.settings(), None
    for partition in range(topic.partitions):  # so that all processes that have one open use the new settings
        try:
            change_settings_of(store.path, store.signals, topic.name, partition, settings, store.options.lock_timeout_ms)
        except LockTimeoutError as error:
            failure = error
    store.announcer.announce()
    if failure is not None:
        raise failure
    return topic


@translates_os_errors("close")
class Log:
    """The log of an open store. Safe for several threads; unusable after fork().

    `store` is the open store underneath, for the rest of this library only."""

    def __init__(self, path: Path, options: StoreOptions, *, create: bool) -> None:
        self.path = path
        self.store = Store(path, options, create=create)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    @property
    def is_closed(self) -> bool:
        """Was `close` called? Then the store can no longer be used."""
        return self.store.is_closed

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> TopicDescription:
        """Create a topic with Kafka's topic settings; with `exist_ok`, one that exists is returned as it is.

        Raises `TopicExistsError`, `InvalidArgumentError`."""
        if check_bool("exist_ok", exist_ok):
            return created_or_found(lambda: self.create_topic(name, partitions, config), lambda: self.topic(name))
        self.store.check_writable()
        check_topic_name(name)
        topic = self.store.catalog.topics.create(name, check_partition_count(partitions), TopicConfig.parse(config))
        self.store.announcer.announce()
        return topic

    def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """Give a topic more partitions, or other settings; a setting of None is reset to its default.

        Every process applies them from its next append, read or use of the catalog on. Raises `TopicNotFoundError`,
        `InvalidArgumentError`, `LockTimeoutError`."""
        self.store.check_writable()
        check_topic_name(name)
        if partitions is not None:
            check_partition_count(partitions)
        changes = parse_changes(config)
        return alter_topic(self.store, name, partitions, lambda given: with_changes(given, changes))

    def topic(self, name: str) -> TopicDescription:
        """A topic's partitions and settings. Raises `TopicNotFoundError`."""
        self.store.check_open()
        return self.store.catalog.topics.find(check_topic_name(name))

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        self.store.check_open()
        return self.store.catalog.topics.names()

    def partition(self, topic: str, partition: int) -> Partition:
        """One partition of a topic; the same object for the same partition, closed with the store. If it was closed before, it
        is opened again.

        Raises `TopicNotFoundError` and `PartitionNotFoundError`."""
        return self.store.partitions.open(topic, partition)

    def offsets(self, topic: str) -> list[PartitionOffsets]:
        """The start and end offsets of each partition of a topic, in order. Raises `TopicNotFoundError`."""
        return [self.store.partitions.offsets(topic, partition) for partition in range(self.topic(topic).partitions)]

    def sizes(self, topic: str) -> list[PartitionSize]:
        """The size of each partition of a topic, in order. Raises `TopicNotFoundError`."""
        return [read_partition_size(self.store.path, topic, partition) for partition in range(self.topic(topic).partitions)]

    def verify(self, topic: str | None = None) -> list[VerifyReport]:
        """Check every byte of a topic's partitions, or of all topics; returns one report for each partition."""
        self.store.check_open()
        descriptions = [self.topic(name) for name in ([topic] if topic is not None else self.topics())]
        reports = []
        for description in descriptions:
            may_have_gaps = description.settings().may_have_gaps
            for partition in range(description.partitions):
                directory = names.partition_directory(self.store.path, description.name, partition)
                if files.is_there(directory):
                    found = self.partition(description.name, partition)
                    reports.append(verify(found.log, may_have_gaps=may_have_gaps))
        return reports

    def flush(self) -> None:
        """Flush everything in the partitions that are open here to disk."""
        self.store.check_writable()
        for partition in self.store.partitions.in_use():
            with suppress(TopicNotFoundError):  # deleted: nothing is left to flush
                partition.flush()

    def close(self) -> None:
        """Flush and close everything.

        If several threads call it at once, each returns when everything is closed; a later call does nothing. All steps are
        done even if one fails; its error is raised at the end. The next call completes a close that was interrupted.
        Raises `ConcurrentUseError`, and closes nothing, if a signal handler calls it in the middle of work that holds a
        lock. A handler's call in the middle of a close does nothing, because the close continues when the handler returns."""
        self.store.close()
