"""What `diagnose` says: one test for each thing that may be wrong with a store."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import Finding, InvalidTypeError, TopicPartition
from eventlog.admin import doctor
from tests.support import heads, members, snapshots, stores, workers
from tests.support.processes import Interpreter, Worker
from tests.support.stores import TOPIC


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=4096, index_interval_bytes=256)
    with eventlog.open(store) as log:
        for number in range(200):
            stores.open_partition(log).append(b"%d" % number * 10)
    return store


def _found(store: Path, severity: str, text: str, *, deep: bool = False) -> Finding:
    """The one finding of this severity with this text, after a check that only such findings are of this severity."""
    findings = eventlog.diagnose(store, deep=deep)
    [found] = [finding for finding in findings if finding.severity == severity and text in finding.text]
    return found


def _damage_last(store: Path) -> None:
    path = stores.segments(store)[-1]
    path.write_bytes(path.read_bytes()[:100])
    heads.simulate_reboot(stores.head_file(store))


def test_a_sound_store_has_nothing_but_notes_and_stays_as_it_is(filled: Path) -> None:
    before = snapshots.content(filled)
    assert {finding.severity for finding in eventlog.diagnose(filled, deep=True)} == {"note"}
    assert snapshots.content(filled) == before


def test_a_store_that_is_not_there_or_cannot_be_opened_is_an_error(filled: Path, tmp_path: Path) -> None:
    assert "no store" in _found(tmp_path / "nothing", "error", "").text
    assert not (tmp_path / "nothing").exists()
    (filled / "meta" / "data.mdb").write_bytes(b"rotten" * 1000)
    found = _found(filled, "error", "catalog")
    assert found.command is not None and "restore" in found.command


def test_a_catalog_of_garbage_inside_is_an_error(filled: Path) -> None:
    (filled / "store.json").write_text("{}")
    assert "damaged" in _found(filled, "error", "").text


def test_others_who_may_look_into_the_store_are_a_warning(filled: Path) -> None:
    (filled / "logs").chmod(0o755)
    found = _found(filled, "warning", "other users")
    assert found.command == f"chmod go= {filled / 'logs'}"


def test_too_few_open_files_are_a_warning(filled: Path) -> None:
    with eventlog.open(filled) as log:
        log.create_topic("many", partitions=50)
        for number in range(50):
            log.partition("many", number)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert _found(filled, "warning", "may open 200 files").command == f"ulimit -n {51 * 4 + 64}"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_opening_would_find_damaged_is_an_error_and_stays_as_it_is(filled: Path) -> None:
    _damage_last(filled)
    before = snapshots.content(filled)
    found = _found(filled, "error", "will find it damaged")
    assert (found.subject, found.command) == (f"{TOPIC}/0", f"eventlog repair {TOPIC}/0")
    assert snapshots.content(filled) == before


def test_a_partition_that_was_found_damaged_is_an_error(filled: Path) -> None:
    _damage_last(filled)
    with eventlog.open(filled) as log:
        stores.open_partition(log)
        assert _found(filled, "error", "it is damaged").command == f"eventlog repair {TOPIC}/0"


def test_a_torn_tail_that_opening_would_cut_off_is_a_warning_and_stays(filled: Path) -> None:
    path = stores.segments(filled)[-1]
    heads.simulate_reboot(stores.head_file(filled))
    with open(path, "ab") as file:
        file.write(b"\xff" * 99)
    before = path.read_bytes()
    assert "99 bytes" in _found(filled, "warning", "torn tail").text
    assert path.read_bytes() == before


def test_a_failed_write_is_an_error(filled: Path) -> None:
    with eventlog.open(filled) as log:
        stores.open_partition(log)
        with open(stores.head_file(filled), "r+b") as file:
            file.seek(92)  # native/store/head.h: poison
            file.write((5).to_bytes(4, "little"))
        assert "Input/output error" in _found(filled, "error", "a write or fsync failed").text


def test_a_missing_index_is_a_warning_and_the_command_makes_it_anew(filled: Path) -> None:
    stores.segments(filled)[0].with_suffix(".index").unlink()
    found = _found(filled, "warning", "missing or torn")
    assert found.command == f"eventlog repair {TOPIC}/0 --execute"
    with eventlog.open(filled) as log:
        log.repair(TOPIC, 0, execute=True)
    assert {finding.severity for finding in eventlog.diagnose(filled)} == {"note"}


def test_a_record_from_the_future_is_a_warning(filled: Path) -> None:
    with eventlog.open(filled) as log:
        stores.open_partition(log).append(b"later", timestamp=(int(time.time()) + 10 * 3600) * 1000)
    assert _found(filled, "warning", "9 hours from now").subject == f"{TOPIC}/0"


def _await_stop(process: Worker) -> None:
    """A signal to stop is sent, and some time later it stops."""
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        pass


def test_a_process_that_is_stopped_with_a_mutex_is_an_error_that_names_it(filled: Path) -> None:
    with eventlog.open(filled) as log:
        stores.open_partition(log)
        with Interpreter(workers.hold_mutex, filled, "append") as holder:
            assert holder.receive() == "held"
            assert not [finding for finding in eventlog.diagnose(filled) if finding.severity != "note"]
            holder.stop()
            _await_stop(holder)
            assert _found(filled, "error", f"process {holder.pid} is stopped").command == f"kill -CONT {holder.pid}"


def test_records_that_are_on_no_disk_for_long_are_a_warning(filled: Path) -> None:
    with eventlog.open(filled, fsync="never") as log:
        stores.open_partition(log).append(b"in memory")
        assert not [finding for finding in eventlog.diagnose(filled) if finding.severity != "note"]
        os.utime(stores.segments(filled)[-1], (0, time.time() - 3600))
        assert "the last 1 records" in _found(filled, "warning", "not reached the disk").text


def test_files_that_belong_to_nothing_are_told(filled: Path) -> None:
    (filled / "logs" / "README").write_text("")
    (filled / "logs" / "stranger-0").mkdir()
    (filled / "logs" / f"{TOPIC}-7").mkdir()
    (filled / "shared" / "gone-0.head").write_bytes(b"")
    (filled / "store.json.4194304.4194305.tmp").write_bytes(b"")
    (filled / f"store.json.{os.getpid()}.1.tmp").write_bytes(b"")
    removed = stores.removed_directory(filled)
    removed.mkdir(parents=True)
    (removed / "kept.bin").write_bytes(bytes(123))
    assert "README" in _found(filled, "warning", "is not a partition").text
    assert "stranger-0" in _found(filled, "note", "not in the catalog").text
    assert f"{TOPIC}-7" in _found(filled, "warning", "it is never read").text
    assert _found(filled, "note", "not belong to any topic or group").command == f"rm {filled}/shared/gone-0.head"
    assert "4194304" in _found(filled, "note", "was left by a process").text
    assert "123 bytes" in _found(filled, "note", "cut off").text


def test_a_topic_whose_deletion_was_interrupted_is_left_to_the_housekeeping(filled: Path) -> None:
    with eventlog.open(filled) as log:
        log.store.catalog.topics.begin_deletion(TOPIC)
        stores.removed_directory(filled).with_suffix(".deleted").mkdir(parents=True)
        (stores.removed_directory(filled).with_suffix(".deleted") / "0.log").write_bytes(b"on its way out")
        findings = [finding for finding in eventlog.diagnose(filled) if finding.subject != str(filled)]
        assert [(finding.subject, finding.command) for finding in findings] == [(f"topic {TOPIC}", "eventlog maintain")]
        log.maintain()
        assert {finding.subject for finding in eventlog.diagnose(filled)} == {str(filled)}


def test_files_of_a_compaction_are_nobodys_to_delete_and_the_housekeeping_ends_one_that_was_killed(filled: Path) -> None:
    cleaned = stores.segments(filled)[0].with_suffix(".log.cleaned")
    cleaned.write_bytes(b"half of it")
    with Worker(workers.hold_maintenance, filled) as maintainer:
        maintainer.receive()
        assert {finding.subject for finding in eventlog.diagnose(filled)} == {str(filled)}
    assert _found(filled, "note", "the next round of housekeeping completes its work").command == "eventlog maintain"
    with eventlog.open(filled) as log:
        log.maintain()
    assert {finding.subject for finding in eventlog.diagnose(filled)} == {str(filled)}
    assert not cleaned.exists()


def test_what_is_made_while_the_doctor_looks_is_not_told_to_belong_to_nothing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with eventlog.open(filled) as log:
        take_stock = doctor._summary

        def make_more(*looked_at: Any) -> Iterator[Finding]:
            log.create_topic("later")
            log.partition("later", 0)
            log.create_group("later")
            yield from take_stock(*looked_at)

        monkeypatch.setattr(doctor, "_summary", make_more)
        assert {finding.subject for finding in eventlog.diagnose(filled)} == {str(filled)}


def test_a_member_that_does_not_poll_is_a_warning(filled: Path) -> None:
    with Worker(members.consume, filled, "hanging", {"max_poll_interval_ms": 2000}) as member:
        member.receive()
        member.stop()  # with the thread that would notice it
        while not any("has not polled" in finding.text for finding in eventlog.diagnose(filled)):
            pass
        found = _found(filled, "warning", "has not polled")
        assert (found.subject, found.command) == ("group hanging", f"kill -CONT {member.pid}")


def test_a_process_that_is_stopped_inside_a_change_of_the_catalog_is_an_error_that_names_it(filled: Path) -> None:
    with Worker(workers.hold_catalog, filled) as holder:
        holder.receive()
        assert not [finding for finding in eventlog.diagnose(filled) if finding.severity == "error"]
        holder.stop()
        _await_stop(holder)
        assert _found(filled, "error", f"process {holder.pid} is stopped").command == f"kill -CONT {holder.pid}"


def test_lag_without_members_is_a_warning(filled: Path) -> None:
    with eventlog.open(filled) as log:
        log.create_topic("long")
        log.partition("long", 0).append_many([b"x"] * 20_000)
        with log.consumer(group="gone") as consumer:
            consumer.assign([TopicPartition("long", 0)])
            consumer.commit({TopicPartition("long", 0): 5}, sync=True)
        found = _found(filled, "warning", "19995 records")
        assert (found.subject, found.command) == ("group gone", "eventlog groups describe gone")


def test_an_offset_behind_the_end_is_an_error(filled: Path) -> None:
    """As after a catalog was taken from a backup of another day."""
    with eventlog.open(filled) as log, log.consumer(group="ahead") as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        consumer.commit({TopicPartition(TOPIC, 0): 200})
    shutil.rmtree(stores.partition_directory(filled))
    stores.head_file(filled).unlink()
    assert "committed 200" in _found(filled, "error", "would skip new ones").text


def test_a_rotten_byte_is_found_by_a_deep_look_alone(filled: Path) -> None:
    path = stores.segments(filled)[0]
    path.write_bytes(path.read_bytes().replace(b"7777777777", b"7777077777", 1))
    assert {finding.severity for finding in eventlog.diagnose(filled)} == {"note"}
    assert _found(filled, "error", path.name, deep=True).command == f"eventlog repair {TOPIC}/0"


def test_processes_that_died_while_they_read_the_catalog_are_a_note(filled: Path) -> None:
    with eventlog.open(filled), Worker(members.die_while_reading_the_catalog, filled) as reader:
        assert reader.receive() == "reading"
        reader.kill()
        assert _found(filled, "note", "died while reading it").subject == "catalog"


def test_bad_arguments_are_refused(filled: Path) -> None:
    with pytest.raises(InvalidTypeError, match="path"):
        eventlog.diagnose(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="deep"):
        eventlog.diagnose(filled, deep=1)  # type: ignore[arg-type]


