"""The rounds of the campaign: processes die, their store is looked at from outside, and goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from eventlog import EventLog
from tests.support import heads, mortals, payloads
from tests.support.bare_store import BareStore
from tests.support.namespaces import OTHER_PROCESSES, refusal, run_elsewhere
from tests.support.processes import Worker
from tests.support.stores import TOPIC
from torture.campaign import Run
from torture.campaigns.kills.account import Account
from torture.campaigns.kills.cast import Deaths, play

_ROUNDS_A_STORE = 6
_REBOOTS_A_ROUND = 0.5
_OUTSIDERS = 0.3  # in how many of the rounds in which somebody has the store open all the time
_REFUSED = "refused"
_FROM_ELSEWHERE = """
import sys, eventlog
for _ in range(20):
    try:
        eventlog.open(sys.argv[1]).partition("events", 0).append(b"from elsewhere")
    except eventlog.StoreOpenError as error:
        assert "another PID namespace" in str(error), error
    else:
        sys.exit("it was let in")
print("refused")
"""
# What it holds takes a hundredth of that. Until a dead reader is found, a second later, what is written takes new pages.
_CATALOG_BYTES_MAX = 16 * 2**20


def _reboot(store: Path, account: Account) -> None:
    """Let the mapped files be of an earlier boot: the next one recovers what is there."""
    for file in (store / "shared").iterdir():
        if file.suffix in (".head", ".acks") and file.stat().st_size:
            heads.simulate_reboot(file)
    account.forget_what_a_reboot_forgets()


def _go_on(run: Run, store: Path, account: Account, ends: dict[tuple[str, int], int]) -> None:
    """The library sees the same, finds nothing wrong, and goes on where the others ended."""
    writer = run.random.randrange(2**31)
    with eventlog.open(store) as log:
        for (topic, number), end in ends.items():
            offset = log.partition(topic, number).append(payloads.value(writer, 0, 0, 0, 1))
            assert offset == end, f"{topic}-{number}: the bytes end at {end}, the library goes on at {offset}"
            account.note("appended", (topic, number, offset, writer, 0, 1))
        _shaken_group_goes_on(log)
        _transactions_end(log)
        problems = [report.problems for report in log.verify() if report.problems]
        assert not problems, problems


def _shaken_group_goes_on(log: EventLog) -> None:
    """Whatever became of the group, and in the middle of what: a new member reads to the end, and can commit that."""
    with log.consumer(TOPIC, group=mortals.SHAKEN_GROUP) as consumer:
        while consumer.poll(timeout=0.0, max_records=5000) or len(consumer.assignment()) < mortals.PARTITIONS:
            pass
        consumer.commit()
        lag = log.group(mortals.SHAKEN_GROUP).lag()
    assert set(lag.values()) == {0}, f"{mortals.SHAKEN_GROUP} has read everything, and its lag is {lag}"


def _transactions_end(log: EventLog) -> None:
    """Housekeeping ends what the dead have begun."""
    log.maintain()
    still_open = [each for each in log.transactions() if each.is_open]
    assert not still_open, f"nobody ends {still_open}"


def _survivor(run: Run, store: Path) -> Worker:
    survivor = Worker(mortals.survive, store, run.random.randrange(2**31))
    assert survivor.receive() == "here"
    return survivor


def _come_from_elsewhere(store: Path) -> str:
    """What a process of another PID namespace is told, again and again, while others work, die and hold the store open."""
    if refusal(OTHER_PROCESSES):
        return _REFUSED
    done = run_elsewhere(OTHER_PROCESSES, _FROM_ELSEWHERE, store)
    return done.stdout.strip() or done.stderr


def _live_through(run: Run, deaths: Deaths, store: Path, rounds: int) -> Iterator[None]:
    """The life of one store; yields after each round."""
    mortals.create(store)
    account = Account()
    bare = BareStore(store)
    for number in range(rounds):
        with ExitStack() as survivors:
            survivor = survivors.enter_context(_survivor(run, store)) if run.random.random() < 0.5 else None
            outsider = None
            if survivor is not None and run.random.random() < _OUTSIDERS:
                outsider = survivors.enter_context(ThreadPoolExecutor(1)).submit(_come_from_elsewhere, store)
            play(run, deaths, store, account, number)
            if outsider is not None:
                assert (said := outsider.result()) == _REFUSED, f"a process of another PID namespace: {said}"
                run.count("processes of another namespace refused")
            if survivor is not None:
                survivor.send("the others are gone")
                for message in iter(survivor.receive, "survived"):
                    account.note(*message)
            ends = account.check(bare)
        run.count("rounds checked byte by byte")
        _go_on(run, store, account, ends)
        account.transactions.check(bare, is_finished=True)
        assert (used := bare.catalog_bytes()) < _CATALOG_BYTES_MAX, f"the catalog has grown to {used} bytes"
        if run.random.random() < _REBOOTS_A_ROUND:
            _reboot(store, account)
            run.count("reboots")
        yield
    run.count("acknowledged records", account.records)
    run.count("acknowledged commits", account.commits)
    run.count("committed transactions", account.transactions.committed)


def play_all(connection: Connection, run: Run) -> None:
    """Play all rounds in a process whose `eventlog` has fault points; report what is counted after each round, then None."""
    deaths = Deaths(run.random)
    for number in range(run.amount(8, 200)):
        store = run.directory / f"store-{number}"
        for _ in _live_through(run, deaths, store, run.amount(4, _ROUNDS_A_STORE)):
            connection.send(run.counts.copy())
            run.counts.clear()
        shutil.rmtree(store)
    run.count("fault points where a process died", len(deaths.at))
    assert run.counts.total() and (run.is_short or not deaths.never()), f"no process ever died at {deaths.never()}"
    connection.send(run.counts)
    connection.send(None)
