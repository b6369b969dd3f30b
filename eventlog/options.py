"""The settings of a store and of a topic, with Kafka's names, and their limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from eventlog.errors import InvalidArgumentError, InvalidTypeError

FSYNC_POLICIES = ("always", "interval", "never")
GROUP_RETENTION_MS = 604_800_000  # a week, as Kafka's offsets.retention.minutes

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_INT32_MAX = 2**31 - 1
_SECONDS_END = 2**53  # what a clock's float tells apart from a second more
_INT64_MAX = 2**63 - 1
_PARTITIONS_MAX = 100_000


class StoreOptions(NamedTuple):
    """How this process uses a store: when an append is on disk ("always", "interval" or "never"), how often "interval" is, and
    how long to wait for another process that has a lock."""

    fsync: str = "interval"
    fsync_interval_ms: int = 1000
    lock_timeout_ms: int = 30_000


class _Number(NamedTuple):
    default: int
    minimum: int
    maximum: int


class _Fraction(NamedTuple):
    default: float
    minimum: float
    maximum: float


class _Choice(NamedTuple):
    default: str
    allowed: tuple[str, ...]


Setting = int | float | str

# Names and meanings are Kafka's, and so are the defaults: https://kafka.apache.org/documentation/#topicconfigs. Ours are
# retention.acked, and that retention.ms is for ever, where Kafka keeps a week: what a store is
# given it keeps until it is told otherwise.
_SETTINGS: dict[str, _Number | _Fraction | _Choice] = {
    "cleanup.policy": _Choice("delete", ("delete", "compact", "compact,delete", "delete,compact")),
    "compression.type": _Choice("producer", ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")),
    "delete.retention.ms": _Number(86_400_000, 0, _INT64_MAX),
    "index.interval.bytes": _Number(4096, 0, _INT32_MAX),
    "max.compaction.lag.ms": _Number(_INT64_MAX, 1, _INT64_MAX),
    "max.message.bytes": _Number(1_048_588, 128, 2**30),
    "message.timestamp.type": _Choice("CreateTime", ("CreateTime", "LogAppendTime")),
    "min.cleanable.dirty.ratio": _Fraction(0.5, 0.0, 1.0),
    "min.compaction.lag.ms": _Number(0, 0, _INT64_MAX),
    "retention.acked": _Choice("false", ("false", "true")),
    "retention.bytes": _Number(-1, -1, _INT64_MAX),
    "retention.ms": _Number(-1, -1, _INT64_MAX),
    "segment.bytes": _Number(2**30, 1024, _INT32_MAX),
    "segment.jitter.ms": _Number(0, 0, _INT64_MAX),
    "segment.ms": _Number(604_800_000, 1, _INT64_MAX),
}


class TopicConfig(NamedTuple):
    """A topic's settings: those that were given, over the defaults. `had_gaps` says that records may have been taken out of
    the middle by compaction, under an earlier setting, or by repair; `decided_by` is the number of the catalog's transaction
    that made them what they are, 0 where none is known."""

    given: dict[str, Setting]
    had_gaps: bool = False
    decided_by: int = 0

    @classmethod
    def parse(cls, config: Mapping[str, object] | None) -> TopicConfig:
        """Check names and values; numbers may be given as text. Raises `InvalidArgumentError`, `InvalidTypeError`."""
        if config is not None and not isinstance(config, Mapping):
            raise InvalidTypeError(f"config must be a mapping of setting to value, not {type(config).__name__}")
        return cls({name: _parse_setting(name, value) for name, value in (config or {}).items()})

    def number(self, name: str) -> int:
        """The value of a numeric setting."""
        return int(self.given.get(name, _SETTINGS[name].default))

    def fraction(self, name: str) -> float:
        """The value of a setting between 0 and 1."""
        return float(self.given.get(name, _SETTINGS[name].default))

    def text(self, name: str) -> str:
        """The value of a setting as text."""
        return str(self.given.get(name, _SETTINGS[name].default))

    @property
    def is_compacted(self) -> bool:
        """Does compaction keep the latest value of each key, and take the others away?"""
        return "compact" in self.text("cleanup.policy")

    @property
    def may_have_gaps(self) -> bool:
        """Need offsets not follow one another closely?"""
        return self.is_compacted or self.had_gaps

    def effective(self) -> dict[str, Setting]:
        """All settings by name, defaults included."""
        return {name: self.given.get(name, setting.default) for name, setting in _SETTINGS.items()}


def parse_changes(config: Mapping[str, object] | None) -> dict[str, Setting | None]:
    """Changes to a topic's settings; None takes one back to its default. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    unset = [name for name, value in config.items() if value is None] if isinstance(config, Mapping) else []
    for name in unset:
        if name not in _SETTINGS:
            raise _unknown(name)
    if isinstance(config, Mapping):
        config = {name: value for name, value in config.items() if value is not None}
    given = TopicConfig.parse(config).given
    return {**given, **dict.fromkeys(unset)}


def _unknown(name: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"unknown topic setting {name!r}; the settings are {', '.join(_SETTINGS)}")


def _parse_setting(name: str, value: object) -> Setting:
    setting = _SETTINGS.get(name)
    if setting is None:
        raise _unknown(name)
    if isinstance(setting, _Fraction):
        return _parse_fraction(name, value, setting)
    if isinstance(setting, _Choice):
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, str):
            value = ",".join(part.strip() for part in value.split(","))
        if value not in setting.allowed:
            raise InvalidArgumentError(f"{name} is {value!r}, but must be one of {', '.join(setting.allowed)}")
        return str(value)
    number = int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not setting.minimum <= number <= setting.maximum:
        raise InvalidArgumentError(
            f"{name} is {value!r}, but must be a whole number from {setting.minimum} to {setting.maximum}"
        )
    return number


def _parse_fraction(name: str, value: object, setting: _Fraction) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not setting.minimum <= number <= setting.maximum:
        raise InvalidArgumentError(f"{name} is {value!r}, but must be a number from {setting.minimum} to {setting.maximum}")
    return number


def check_topic_name(name: object) -> str:
    """A topic name that Kafka accepts: 1 to 249 of a-z A-Z 0-9 . _ - and neither "." nor ".."."""
    return _check_name("topic", name)


def check_group_name(name: object) -> str:
    """A group's name; the rule is that of topics, because files are named by it. Kafka accepts more."""
    return _check_name("group", name)


def check_instance_id(instance_id: object) -> str:
    """The id of a static member; the rule is that of topics."""
    return _check_name("instance", instance_id)


def _check_name(kind: str, name: object) -> str:
    if not isinstance(name, str):
        raise InvalidTypeError(f"a {kind} name must be a str, not {type(name).__name__}")
    if name in (".", "..") or not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name!r} is not a valid {kind} name: use 1 to 249 of the characters a-z A-Z 0-9 . _ -, and neither '.' nor "
            "'..' alone"
        )
    return name


def check_partition_count(partitions: object) -> int:
    """A number of partitions from 1 to 100,000."""
    if not isinstance(partitions, int) or isinstance(partitions, bool):
        raise InvalidTypeError(f"the number of partitions must be an int, not {type(partitions).__name__}")
    if not 1 <= partitions <= _PARTITIONS_MAX:
        raise InvalidArgumentError(f"a topic has 1 to {_PARTITIONS_MAX} partitions, not {partitions}")
    return partitions


def check_partition_number(partition: object) -> int:
    """The number of a partition; whether the topic has it is another question."""
    if not isinstance(partition, int) or isinstance(partition, bool):
        raise InvalidTypeError(f"a partition number must be an int, not {type(partition).__name__}")
    return partition


def check_offset(offset: object) -> int:
    """An offset from 0 to 2**63 - 1; whether the partition has it is another question."""
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise InvalidTypeError(f"an offset must be an int, not {type(offset).__name__}")
    if not 0 <= offset <= _INT64_MAX:
        raise InvalidArgumentError(f"offset {offset} is not between 0 and 2**63 - 1")
    return offset


def check_timeout(timeout: object) -> float | None:
    """A number of seconds to wait, or None: without an end."""
    if timeout is not None and (not isinstance(timeout, (int, float)) or isinstance(timeout, bool)):
        raise InvalidTypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if timeout is not None and not abs(timeout) < _SECONDS_END:
        raise InvalidArgumentError(f"timeout is {timeout} s, but must be below 2**53; None waits without a limit")
    return timeout


def check_number(name: str, value: object, minimum: int, maximum: int) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not minimum <= value <= maximum:
        raise InvalidArgumentError(f"{name} is {value}, but must be from {minimum} to {maximum}")
    return value


def check_milliseconds(name: str, milliseconds: object) -> int:
    """A time to wait from 1 ms to 2**31 - 1 ms, which every system call takes."""
    return check_number(name, milliseconds, 1, _INT32_MAX)


def check_bool(name: str, value: object) -> bool:
    """True or False, and nothing that only counts as one of them."""
    if not isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def check_fsync(policy: object) -> str:
    """One of the durability policies "always", "interval" and "never"."""
    if policy not in FSYNC_POLICIES:
        raise InvalidArgumentError(f"fsync is {policy!r}, but must be one of {', '.join(FSYNC_POLICIES)}")
    return str(policy)
