"""Rules: producers of several processes send, at once and gathered, and ask their receipts."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from eventlog import TopicPartition
from tests.support.machine.foundation import GROUPS, Foundation, Sent, hosts, places, topics
from tests.support.machine.model import ModelTopic
from tests.support.model import Event

# Records are old, and not kept by a retention of seven days, or of the future, and are.
LONG_AGO_MS = 1_600_000_000_000
HENCE_MS = 4_000_000_000_000

_KEYS = (b"", b"a", b"bc", b"def", b"ghij", b"klmno")
_HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = ((), (), (("trace", b"1"), ("none", None)))

timestamps = st.builds(int.__add__, st.sampled_from([LONG_AGO_MS, LONG_AGO_MS, HENCE_MS]), st.integers(0, 20))
# A record by a number, so that a failure can be read; what else it holds is its number among all that were sent.
_codes = st.lists(st.integers(0, 999), min_size=1, max_size=25)


class Producing(Foundation):
    """Records come into the log by producers."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    @rule(host=hosts, topic=topics, gathers=st.booleans(), codes=_codes, with_keys=st.booleans())
    def send(self, host: int, topic: str, gathers: bool, codes: list[int], with_keys: bool) -> None:
        self._send(host, topic, gathers, [self._event(code, with_keys) for code in codes], None)

    @rule(host=hosts, topic=topics, gathers=st.booleans(), codes=_codes, place=places)
    def send_to_a_partition(self, host: int, topic: str, gathers: bool, codes: list[int], place: int) -> None:
        count = len(self.model.topics[topic].partitions) if topic in self.model.topics else 1
        self._send(host, topic, gathers, [self._event(code, code % 3 > 0) for code in codes], place % count)

    def _event(self, code: int, has_key: bool) -> Event:
        self._number += 1
        value = None if code % 10 == 9 else b"%d" % self._number + bytes(code % 89)
        time = (HENCE_MS if code % 4 == 3 else LONG_AGO_MS) + code % 21
        return Event(value, _KEYS[code % len(_KEYS)] if has_key else None, _HEADERS[code % len(_HEADERS)], time)

    def _send(self, host: int, topic: str, gathers: bool, events: list[Event], partition: int | None) -> None:
        if topic not in self.model.topics:
            self.model.topics[topic] = ModelTopic(topic, "made by a producer", 1)
        if "compact" in self.model.topics[topic].kind and any(event.key is None for event in events):
            events = [next(event for event in events if event.key is None)]
            self.do(host, "send", gathers, topic, events, partition, raises="InvalidArgumentError")
            return
        replies = self.do(host, "send", gathers, topic, events, partition)
        for event, (chosen, offset) in zip(events, replies, strict=True):
            self._check_choice(self.model.topics[topic], event, partition, chosen)
            sent = Sent(TopicPartition(topic, chosen), event, offset)
            self.sent[host].append(sent)
            if not gathers:
                assert offset == self.model.partition(sent.place).append(event)
        self.take_account(host)
        self.counts["records sent"] += len(events)

    def _check_choice(self, topic: ModelTopic, event: Event, wanted: int | None, chosen: int) -> None:
        if wanted is not None:
            assert chosen == wanted
        elif event.key is not None:
            assert chosen == topic.partition_of(event.key), f"key {event.key!r} went to partition {chosen}"
        else:
            assert 0 <= chosen < len(topic.partitions)

    @rule(host=hosts, with_producers=st.booleans())
    def flush(self, host: int, with_producers: bool) -> None:
        if not with_producers:
            self.do(host, "flush")
            return
        self.do(host, "flush_producers")
        self.take_account(host)
        assert not any(sent.is_waiting for sent in self.sent[host])
        for place in {sent.place for sent in self.sent[host] if not sent.is_gone}:
            assert self.log.offsets(place.topic)[place.partition].durable_offset == self.model.partition(place).end_offset

    @precondition(lambda self: any(self.sent.values()))
    @rule(place=places)
    def ask_a_receipt(self, place: int) -> None:
        """A receipt of a record that waits has it appended, with what waits before it."""
        known = [(host, number) for host in self.sent for number in range(len(self.sent[host]))]
        host, number = known[place % len(known)]
        sent = self.sent[host][number]
        if sent.is_gone:
            self.do(host, "is_acked", number, "billing", raises="TopicNotFoundError")
            return
        topic, partition, offset, timestamp = self.do(host, "ask_receipt", number)
        self.take_account(host)
        assert ((topic, partition), offset, timestamp) == (sent.place, sent.offset, sent.event.timestamp)
        for group in GROUPS:
            known_group = self.model.groups.get(group)
            committed = known_group.committed.get(sent.place, 0) if known_group is not None else 0
            assert self.do(host, "is_acked", number, group) == (committed > offset, committed > offset)
