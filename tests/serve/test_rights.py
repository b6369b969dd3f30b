"""What users may do: by role and by the prefixes of names, in every API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventlog import EventLog
from eventlog.catalog.users import User
from eventlog.serve.broker import Settings
from eventlog.serve.offered import APIS
from eventlog.serve.protocol.messages import codec, kind, message
from eventlog.serve.security.accounts import add_user, alter_user
from eventlog.serve.security.guard import refused_entry
from eventlog.serve.security.rights import RIGHTS, All, Each, Listed, Whole
from eventlog.serve.security.users import ADMIN, READER, WRITER, Resource, may
from tests.serve.authentication import authenticate
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server

UNKNOWN_TOPIC, TOPIC_FAILED, CLUSTER_FAILED, TRANSACTIONAL_ID_FAILED, UNKNOWN_TOPIC_ID = 3, 29, 31, 53, 100

Connect = Callable[..., RawClient]


@pytest.fixture
def server(log: EventLog) -> Iterator[RunningServer]:
    for topic in ("orders", "orders-old", "secrets"):
        log.create_topic(topic)
        log.partition(topic, 0).append(b"x")
    add_user(log, "reader", "x", READER, topic_prefixes=["orders"], group_prefixes=["billing"])
    add_user(log, "writer", "x", WRITER, topic_prefixes=["orders"], group_prefixes=["billing"])
    add_user(log, "admin", "x", ADMIN, topic_prefixes=["orders"])
    add_user(log, "root", "x", ADMIN)
    with running_server(log, Settings(has_users=True)) as server:
        yield server


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Connect]:
    clients = []

    def connect(name: str) -> RawClient:
        client = RawClient(server.address)
        clients.append(client)
        assert authenticate(client, name, "x").error_code == 0
        return client

    yield connect
    for client in clients:
        client.socket.close()


def bits(operations: int) -> set[int]:
    return {bit for bit in range(32) if operations >> bit & 1}


@pytest.mark.parametrize(
    ("name", "topic", "group", "cluster"),
    [
        ("reader", {3, 8, 10}, {3, 8, 10}, {8, 10}),
        ("writer", {3, 4, 8, 10}, {3, 8, 10}, {8, 10, 12}),
        ("admin", {3, 4, 5, 6, 7, 8, 10, 11}, {3, 6, 8, 10, 11}, {8, 10, 12}),
        ("root", {3, 4, 5, 6, 7, 8, 10, 11}, {3, 6, 8, 10, 11}, {5, 7, 8, 9, 10, 11, 12}),
    ],
)
def test_a_user_is_told_what_its_role_allows(
    connect: Connect, log: EventLog, name: str, topic: set[int], group: set[int], cluster: set[int]
) -> None:
    with log.consumer("orders", group="billing") as consumer:
        consumer.poll(timeout=0)
        client = connect(name)
        wanted = [kind("MetadataRequest", "MetadataRequestTopic")(name="orders")]
        asked = {"include_topic_authorized_operations": True, "include_cluster_authorized_operations": True}
        answer = client.ask("Metadata", 10, topics=wanted, **asked)
        assert bits(answer.topics[0].topic_authorized_operations) == topic
        assert bits(answer.cluster_authorized_operations) == cluster
        for api, version, names in (("DescribeGroups", 5, "groups"), ("ConsumerGroupDescribe", 1, "group_ids")):
            described = client.ask(api, version, **{names: ["billing"]}, include_authorized_operations=True).groups[0]
            assert bits(described.authorized_operations) == group


# --- the table -----------------------------------------------------------------------------------------------


def test_every_api_that_is_offered_has_an_entry() -> None:
    assert {api.name for api in APIS.values()} <= RIGHTS.keys()


@pytest.mark.parametrize("name", sorted(RIGHTS))
def test_an_entry_names_fields_that_exist(name: str) -> None:
    requested = {field.name: field for field in message(f"{name}Request").fields}
    answered = {field.name: field for field in message(f"{name}Response").fields}
    for rule in RIGHTS[name].rules:
        if isinstance(rule, Whole):
            assert not rule.field or rule.field in requested
        elif isinstance(rule, Each):
            item, entry = requested[rule.field].struct, answered[rule.answers].struct
            assert requested[rule.field].is_array and answered[rule.answers].is_array and entry is not None
            assert (item is None) == (rule.name == "") and (item is None or rule.name in item.kind.field_names)
            assert "error_code" in str(entry)
        elif isinstance(rule, All):
            assert requested[rule.field].is_array
        else:
            assert isinstance(rule, Listed)
            struct = message(f"{name}Response")
            for part in rule.field.split("."):
                found = next(field.struct for field in struct.fields if field.name == part)
                assert found is not None
                struct = found
            assert rule.name in struct.kind.field_names


@pytest.mark.parametrize("name", sorted(RIGHTS))
def test_every_field_with_the_name_of_a_topic_or_a_group_has_a_rule(name: str) -> None:
    types = {field.name: field.type for field in message(f"{name}Request").fields}
    fields = {getattr(rule, "field", "") for rule in RIGHTS[name].rules}
    named = {"group_id", "groups", "group_ids", "groups_names", "topics", "topic_names", "transactional_id", "topic_data"}
    if Whole(Resource.CLUSTER, ADMIN) not in RIGHTS[name].rules:
        assert types.keys() & named <= fields


@pytest.mark.parametrize("name", sorted(RIGHTS))
def test_a_refusal_can_be_encoded_in_every_version(name: str) -> None:
    """Of an item that has every field."""
    requested, answered = message(f"{name}Request"), message(f"{name}Response")
    for rule in RIGHTS[name].rules:
        if not isinstance(rule, Each):
            continue
        field = next(field for field in requested.fields if field.name == rule.field)
        entry = next(field.struct for field in answered.fields if field.name == rule.answers)
        assert entry is not None
        for version in set(field.versions) & set(requested.versions):
            item = "a name" if field.struct is None else field.struct.kind(**{rule.name: "a name"})
            refused = refused_entry(entry, item, rule.name, 29, version)
            pieces: list[Any] = []
            codec(f"{name}Response", version).encode(answered.kind(**{rule.answers: [refused]}), pieces)
            assert refused.error_code == 29 if "error_code" in entry.kind.field_names else True
            assert "a name" in vars(refused).values() or "Acl" in name


def test_who_may_do_what() -> None:
    user = User("a", WRITER, ("orders", "x"), ("",))
    assert may(user, READER, Resource.TOPIC, "orders") and may(user, WRITER, Resource.TOPIC, "xyz")
    assert not may(user, READER, Resource.TOPIC, "order") and not may(user, ADMIN, Resource.TOPIC, "orders")
    assert may(user, READER, Resource.GROUP, "any") and may(user, WRITER, Resource.TRANSACTIONAL_ID, "any")
    assert may(user, WRITER, Resource.CLUSTER, "") and not may(user, ADMIN, Resource.CLUSTER, "")
    assert not may(user._replace(role=ADMIN), ADMIN, Resource.CLUSTER, "")
    assert may(User("a", ADMIN), ADMIN, Resource.CLUSTER, "")


# --- topics --------------------------------------------------------------------------------------------------


def names_and_codes(answer: Any) -> list[tuple[str, int]]:
    return sorted((topic.name, topic.error_code) for topic in answer.topics)


@pytest.mark.parametrize("version", APIS[3].versions)
def test_topics_that_a_user_may_not_see_are_not_listed(connect: Connect, log: EventLog, version: int) -> None:
    client = connect("reader")
    topics = client.ask("Metadata", version, topics=None if version else [])
    assert names_and_codes(topics) == [("orders", 0), ("orders-old", 0)]
    assert len(topics.brokers) == 1
    answer = client.metadata("orders", "secrets", "sundries", version=version)
    assert names_and_codes(answer) == [("orders", 0), ("secrets", TOPIC_FAILED), ("sundries", TOPIC_FAILED)]
    assert names_and_codes(client.metadata("secrets", version=version)) == [("secrets", TOPIC_FAILED)]
    alter_user(log, "reader", topic_prefixes=["nothing"])
    assert names_and_codes(client.ask("Metadata", version, topics=None if version else [])) == []


def test_an_id_of_a_topic_that_a_user_may_not_see_is_unknown(connect: Connect) -> None:
    topics = {topic.name: topic.topic_id for topic in connect("root").metadata(version=13).topics}
    entry = kind("MetadataRequest", "MetadataRequestTopic")
    wanted = [entry(name=None, topic_id=topics[name]) for name in ("orders", "secrets")]
    answer = connect("reader").ask("Metadata", 13, topics=wanted)
    assert sorted((topic.topic_id, topic.name, topic.error_code) for topic in answer.topics) == sorted(
        [(topics["orders"], "orders", 0), (topics["secrets"], None, UNKNOWN_TOPIC_ID)], key=lambda each: each[0]
    )


def test_a_reader_makes_no_topics_by_naming_them(connect: Connect, log: EventLog) -> None:
    for version in APIS[3].versions:
        answer = connect("reader").metadata("orders-new", version=version)
        assert names_and_codes(answer) == [("orders-new", UNKNOWN_TOPIC)]
    assert "orders-new" not in log.topics()
    assert names_and_codes(connect("writer").metadata("orders-new")) == [("orders-new", 0)]
    assert names_and_codes(connect("writer").metadata("new")) == [("new", TOPIC_FAILED)]
    assert "new" not in log.topics()


def fetch(client: RawClient, version: int, ids: dict[str, bytes]) -> dict[str, tuple[int, bool]]:
    wanted = kind("FetchRequest", "FetchPartition")(partition=0, partition_max_bytes=1000)
    entry = kind("FetchRequest", "FetchTopic")
    topics = [entry(topic=name, topic_id=ids[name], partitions=[wanted]) for name in ("secrets", "orders")]
    answer = client.ask("Fetch", version, max_wait_ms=0, min_bytes=1, max_bytes=1000, topics=topics)
    names = {identifier: name for name, identifier in ids.items()}
    return {
        names[topic.topic_id] if version >= 13 else topic.topic: (each.error_code, bool(each.records))
        for topic in answer.responses
        for each in topic.partitions
    }


@pytest.mark.parametrize("version", APIS[1].versions)
def test_records_of_topics_that_a_user_may_not_read_are_not_sent(connect: Connect, version: int) -> None:
    ids = {topic.name: topic.topic_id for topic in connect("root").metadata(version=13).topics}
    assert fetch(connect("reader"), version, ids) == {"secrets": (TOPIC_FAILED, False), "orders": (0, True)}
    assert fetch(connect("root"), version, ids) == {"secrets": (0, True), "orders": (0, True)}


def produce(client: RawClient, version: int, names: list[str], ids: dict[str, bytes]) -> dict[str, int]:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=batch([b"a"]))
    entry = kind("ProduceRequest", "TopicProduceData")
    topics = [entry(name=name, topic_id=ids[name], partition_data=[data]) for name in names]
    answer = client.ask("Produce", version, acks=-1, timeout_ms=1000, topic_data=topics)
    by_id = {identifier: name for name, identifier in ids.items()}
    return {
        by_id[topic.topic_id] if version >= 13 else topic.name: topic.partition_responses[0].error_code
        for topic in answer.responses
    }


@pytest.mark.parametrize("version", APIS[0].versions)
def test_only_writers_produce(connect: Connect, log: EventLog, version: int) -> None:
    ids = {topic.name: topic.topic_id for topic in connect("root").metadata(version=13).topics}
    both = ["secrets", "orders"]
    assert produce(connect("reader"), version, both, ids) == {"secrets": TOPIC_FAILED, "orders": TOPIC_FAILED}
    assert produce(connect("writer"), version, ["secrets"], ids) == {"secrets": TOPIC_FAILED}
    assert produce(connect("writer"), version, both, ids) == {"secrets": TOPIC_FAILED, "orders": 0}
    assert [log.partition(name, 0).end_offset for name in both] == [1, 2]


def test_a_producer_without_answers_is_disconnected(connect: Connect, log: EventLog) -> None:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=batch([b"a"]))
    topics = [kind("ProduceRequest", "TopicProduceData")(name="secrets", partition_data=[data])]
    client = connect("writer")
    client.send("Produce", 9, acks=0, timeout_ms=1000, topic_data=topics)
    assert client.receive_frame() is None
    assert log.partition("secrets", 0).end_offset == 1


def test_only_admins_create_and_delete_topics(connect: Connect, log: EventLog) -> None:
    entry = kind("CreateTopicsRequest", "CreatableTopic")
    topics = [entry(name=name, num_partitions=1, replication_factor=1) for name in ("new", "orders-new")]
    expected = {"writer": [TOPIC_FAILED, TOPIC_FAILED], "admin": [TOPIC_FAILED, 0]}
    for name, codes in expected.items():
        answer = connect(name).ask("CreateTopics", 7, topics=topics, timeout_ms=1000)
        assert names_and_codes(answer) == list(zip(["new", "orders-new"], codes, strict=True))
    for name, codes in {"writer": [TOPIC_FAILED] * 2, "admin": [0, TOPIC_FAILED]}.items():
        answer = connect(name).ask("DeleteTopics", 4, topic_names=["orders-new", "secrets"], timeout_ms=1000)
        assert sorted((each.name, each.error_code) for each in answer.responses) == list(
            zip(["orders-new", "secrets"], codes, strict=True)
        )
    assert sorted(log.topics()) == ["events", "orders", "orders-old", "secrets"]


def test_positions(connect: Connect) -> None:
    partition = kind("ListOffsetsRequest", "ListOffsetsPartition")(partition_index=0, timestamp=-1)
    entry = kind("ListOffsetsRequest", "ListOffsetsTopic")
    topics = [entry(name=name, partitions=[partition]) for name in ("orders", "secrets")]
    answer = connect("reader").ask("ListOffsets", 5, replica_id=-1, topics=topics)
    found = {topic.name: [(each.error_code, each.partition_index) for each in topic.partitions] for topic in answer.topics}
    assert found == {"orders": [(0, 0)], "secrets": [(TOPIC_FAILED, 0)]}


# --- the rest ------------------------------------------------------------------------------------------------


def test_ids_for_producers_are_for_writers(connect: Connect) -> None:
    assert connect("reader").ask("InitProducerId", 4, transactional_id=None).error_code == CLUSTER_FAILED
    assert connect("writer").ask("InitProducerId", 4, transactional_id=None).error_code == 0
    answer = connect("writer").ask("InitProducerId", 4, transactional_id="other", transaction_timeout_ms=1000)
    assert answer.error_code == TRANSACTIONAL_ID_FAILED


def test_passwords_are_set_and_shown_by_admins_without_limits(connect: Connect, server: RunningServer) -> None:
    import hashlib

    salted = hashlib.pbkdf2_hmac("sha256", b"new", b"salt", 4096)
    upsertion = kind("AlterUserScramCredentialsRequest", "ScramCredentialUpsertion")
    wanted = [upsertion(name="carol", mechanism=1, iterations=4096, salt=b"salt", salted_password=salted)]
    for name in ("writer", "admin"):
        answer = connect(name).ask("AlterUserScramCredentials", 0, upsertions=wanted)
        assert [(each.user, each.error_code) for each in answer.results] == [("carol", CLUSTER_FAILED)]
        assert connect(name).ask("DescribeUserScramCredentials", 0, users=None).error_code == CLUSTER_FAILED
    root = connect("root")
    assert [each.error_code for each in root.ask("AlterUserScramCredentials", 0, upsertions=wanted).results] == [0]
    with RawClient(server.address) as client:
        assert authenticate(client, "carol", "new").error_code == 0
    shown = root.ask("DescribeUserScramCredentials", 0, users=None)
    assert {each.user: len(each.credential_infos) for each in shown.results}["carol"] == 1
    deletion = kind("AlterUserScramCredentialsRequest", "ScramCredentialDeletion")(name="carol", mechanism=1)
    assert [each.error_code for each in root.ask("AlterUserScramCredentials", 0, deletions=[deletion]).results] == [0]
    assert [each.error_code for each in root.ask("AlterUserScramCredentials", 0, deletions=[deletion]).results] == [91]
    with RawClient(server.address) as client:
        assert authenticate(client, "carol", "new").error_code == 58


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"iterations": 4095}, 93), ({"iterations": 16385}, 93), ({"salt": b""}, 93), ({"mechanism": 3}, 33), ({"name": ""}, 42)],
)
def test_passwords_that_are_refused(connect: Connect, fields: dict[str, Any], code: int) -> None:
    upsertion = kind("AlterUserScramCredentialsRequest", "ScramCredentialUpsertion")
    given = {"name": "carol", "mechanism": 1, "iterations": 4096, "salt": b"salt", "salted_password": b"x" * 32, **fields}
    answer = connect("root").ask("AlterUserScramCredentials", 0, upsertions=[upsertion(**given)])
    assert [each.error_code for each in answer.results] == [code]


def test_what_a_user_may_do_changes_with_the_next_request(connect: Connect, log: EventLog) -> None:
    client = connect("reader")
    assert names_and_codes(client.metadata("secrets")) == [("secrets", TOPIC_FAILED)]
    alter_user(log, "reader", topic_prefixes=["secrets"])
    assert names_and_codes(client.metadata("secrets")) == [("secrets", 0)]
    assert [topic.name for topic in client.metadata().topics] == ["secrets"]
