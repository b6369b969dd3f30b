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
_GROUP_NAME_BYTES_MAX = 249
_TEXT_LENGTH_MAX = 32_767  # of a setting, as in Kafka's protocol
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_INT32_MAX = 2**31 - 1
_SECONDS_END = 2**53  # what a clock's float tells apart from a second more
_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1
_PARTITIONS_MAX = 100_000


class StoreOptions(NamedTuple):
    """How this process uses a store: when an append is on disk ("always", "interval" or "never"), how often "interval" is, and
    how long to wait for another process that has a lock. With `is_read_only` it changes nothing."""

    fsync: str = "interval"
    fsync_interval_ms: int = 1000
    lock_timeout_ms: int = 30_000
    is_read_only: bool = False


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


class _Pattern(NamedTuple):
    default: str
    form: str
    meaning: str


Setting = int | float | str

_BOOL = _Choice("false", ("false", "true"))
_REPLICAS = _Pattern("", r"(\*|[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*)?", "PARTITION:BROKER,... or *")

# Names and meanings are Kafka's, and so are the defaults: https://kafka.apache.org/documentation/#topicconfigs. Ours are
# retention.acked, and that retention.ms is for ever, where Kafka keeps a week: what a store is
# given it keeps until it is told otherwise.
_EFFECTIVE: dict[str, _Number | _Fraction | _Choice] = {
    "cleanup.policy": _Choice("delete", ("delete", "compact", "compact,delete", "delete,compact")),
    "compression.type": _Choice("producer", ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")),
    "delete.retention.ms": _Number(86_400_000, 0, _INT64_MAX),
    "index.interval.bytes": _Number(4096, 0, _INT32_MAX),
    "max.compaction.lag.ms": _Number(_INT64_MAX, 1, _INT64_MAX),
    "max.message.bytes": _Number(1_048_588, 128, 2**30),
    "message.timestamp.type": _Choice("CreateTime", ("CreateTime", "LogAppendTime")),
    "min.cleanable.dirty.ratio": _Fraction(0.5, 0.0, 1.0),
    "min.compaction.lag.ms": _Number(0, 0, _INT64_MAX),
    "retention.acked": _BOOL,
    "retention.bytes": _Number(-1, _INT64_MIN, _INT64_MAX),
    "retention.ms": _Number(-1, -1, _INT64_MAX),
    "segment.bytes": _Number(2**30, 1024, _INT32_MAX),
    "segment.jitter.ms": _Number(0, 0, _INT64_MAX),
    "segment.ms": _Number(604_800_000, 1, _INT64_MAX),
}

# Kafka's other settings (4.1). A topic keeps them for the tools that set and compare them; they change nothing.
_WITHOUT_EFFECT: dict[str, _Number | _Choice | _Pattern] = {
    "compression.gzip.level": _Number(-1, -1, 9),
    "compression.lz4.level": _Number(9, 1, 17),
    "compression.zstd.level": _Number(3, -131_072, 22),
    "file.delete.delay.ms": _Number(60_000, 0, _INT64_MAX),
    "flush.messages": _Number(_INT64_MAX, 1, _INT64_MAX),
    "flush.ms": _Number(_INT64_MAX, 0, _INT64_MAX),
    "follower.replication.throttled.replicas": _REPLICAS,
    "leader.replication.throttled.replicas": _REPLICAS,
    "local.retention.bytes": _Number(-2, -2, _INT64_MAX),
    "local.retention.ms": _Number(-2, -2, _INT64_MAX),
    "message.timestamp.after.max.ms": _Number(3_600_000, 0, _INT64_MAX),
    "message.timestamp.before.max.ms": _Number(_INT64_MAX, 0, _INT64_MAX),
    "min.insync.replicas": _Number(1, 1, _INT32_MAX),
    "preallocate": _BOOL,
    "remote.log.copy.disable": _BOOL,
    "remote.log.delete.on.disable": _BOOL,
    "remote.storage.enable": _Choice("false", ("false",)),
    "segment.index.bytes": _Number(10_485_760, 4, _INT32_MAX),
    "unclean.leader.election.enable": _BOOL,
}
_SETTINGS: dict[str, _Number | _Fraction | _Choice | _Pattern] = {**_EFFECTIVE, **_WITHOUT_EFFECT}
SETTINGS_WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT)


def effective_settings() -> dict[str, tuple[str, ...]]:
    """The names of the settings that change something, each with its values if there are only a few."""
    return {name: setting.allowed if isinstance(setting, _Choice) else () for name, setting in _EFFECTIVE.items()}


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
        return cls(with_changes({}, parse_settings(config)))

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
        """The settings that change something, by name, defaults included; and others that were given."""
        return {name: setting.default for name, setting in _EFFECTIVE.items()} | self.given

    def of_kafka(self) -> dict[str, Setting]:
        """All settings by name, defaults included, also those without effect."""
        return {name: setting.default for name, setting in _SETTINGS.items()} | self.given


def check_together(given: Mapping[str, Setting]) -> None:
    """Raise `InvalidArgumentError` if settings that are valid on their own contradict one another."""
    settings = TopicConfig(dict(given))
    least, most = (settings.number(f"{name}.compaction.lag.ms") for name in ("min", "max"))
    if least > most:
        raise InvalidArgumentError(f"min.compaction.lag.ms is {least}, which is more than max.compaction.lag.ms, {most}")


def parse_settings(config: Mapping[str, object] | None) -> dict[str, Setting]:
    """Check names and values, but not whether they go together. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    if config is not None and not isinstance(config, Mapping):
        raise InvalidTypeError(f"config must be a mapping of setting to value, not {type(config).__name__}")
    return {name: _parse_setting(name, value) for name, value in (config or {}).items()}


def parse_changes(config: Mapping[str, object] | None) -> dict[str, Setting | None]:
    """Changes to a topic's settings; None takes one back to its default. Raises `InvalidArgumentError`, `InvalidTypeError`."""
    unset = [name for name, value in config.items() if value is None] if isinstance(config, Mapping) else []
    for name in unset:
        if name not in _SETTINGS:
            raise _unknown(name)
    if isinstance(config, Mapping):
        config = {name: value for name, value in config.items() if value is not None}
    return {**parse_settings(config), **dict.fromkeys(unset)}


def with_changes(given: Mapping[str, Setting], changes: Mapping[str, Setting | None]) -> dict[str, Setting]:
    """A topic's settings after changes, in which None takes one back to its default. Raises `InvalidArgumentError`."""
    changed = {name: value for name, value in {**given, **changes}.items() if value is not None}
    check_together(changed)
    return changed


def _unknown(name: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"unknown topic setting {name!r}; the settings are {', '.join(_EFFECTIVE)}")


def check_setting_length(name: str, value: str) -> None:
    """Raise `InvalidArgumentError` if no setting is as long as this value."""
    if len(value) > _TEXT_LENGTH_MAX:
        raise InvalidArgumentError(f"{name} has {len(value)} characters, and a setting has at most {_TEXT_LENGTH_MAX}")


def _parse_setting(name: str, value: object) -> Setting:
    setting = _SETTINGS.get(name)
    if setting is None:
        raise _unknown(name)
    if isinstance(value, str):
        check_setting_length(name, value)
    if isinstance(setting, _Fraction):
        return _parse_fraction(name, value, setting)
    if isinstance(setting, _Choice):
        return _parse_choice(name, value, setting)
    if isinstance(setting, _Pattern):
        if not isinstance(value, str) or not re.fullmatch(setting.form, value.strip()):
            raise InvalidArgumentError(f"{name} is {value!r}, but must be {setting.meaning}")
        return value.strip()
    number = int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()) else value
    if not isinstance(number, int) or isinstance(number, bool) or not setting.minimum <= number <= setting.maximum:
        raise InvalidArgumentError(
            f"{name} is {value!r}, but must be a whole number from {setting.minimum} to {setting.maximum}"
        )
    return number


def _parse_choice(name: str, value: object, setting: _Choice) -> str:
    chosen = value
    if isinstance(value, bool):
        chosen = str(value).lower()
    elif isinstance(value, str):
        chosen = ",".join(part.strip() for part in value.split(","))
        chosen = chosen.lower() if "false" in setting.allowed else chosen
    if chosen not in setting.allowed:
        raise InvalidArgumentError(f"{name} is {value!r}, but must be one of {', '.join(setting.allowed)}")
    return str(chosen)


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


def check_any_group_name(name: object) -> str:
    """The name of a group that may be one of remote clients: free text, as in Kafka."""
    if not isinstance(name, str):
        raise InvalidTypeError(f"a group name must be a str, not {type(name).__name__}")
    if not is_possible_group_name(name):
        raise InvalidArgumentError(
            f"group name {name!r} is not valid: 1 to {_GROUP_NAME_BYTES_MAX} bytes of UTF-8, without a zero byte"
        )
    return name


def is_possible_group_name(name: str) -> bool:
    """Can the catalog have a group of this name? With the longest topic it has to fit into a key."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return 0 < len(encoded) <= _GROUP_NAME_BYTES_MAX and "\0" not in name


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


def check_seconds(name: str, seconds: object) -> float | None:
    """A number of seconds from 0 on, or None."""
    if seconds is not None and (not isinstance(seconds, (int, float)) or isinstance(seconds, bool)):
        raise InvalidTypeError(f"{name} must be a number of seconds or None, not {type(seconds).__name__}")
    if seconds is not None and not 0 <= seconds < _SECONDS_END:
        raise InvalidArgumentError(f"{name} is {seconds}, but must be seconds from 0 to below 2**53, or None")
    return seconds


def check_text(name: str, value: object, characters_max: int) -> str:
    """Free text that the catalog can store, such as the name of a producer."""
    if type(value) is not str:
        raise InvalidTypeError(f"{name} must be a str, not {type(value).__name__}")
    check_number(f"the length of {name}", len(value), 1, characters_max)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{name} is {value!r}, which has half of a surrogate pair at {error.start}") from None
    return value


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


def check_mode(mode: object) -> str:
    """How a store is opened: "r" to read, or "rw"."""
    if mode not in ("r", "rw"):
        raise InvalidArgumentError(f'mode is {mode!r}, but must be "r" to read only, or "rw"')
    return str(mode)
