"""Exactly once: payments are added up by a process that is killed again and again, and the totals are right.

    python examples/exactly_once.py

The process reads payments in a group, and sends each account's new balance together with its positions in one transaction. A
process that is killed leaves either both or nothing, and its successor continues there.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time

import eventlog

PAYMENTS = 3000
ACCOUNTS = ["ada", "grace", "linus"]
KILLS = 5


def add_up(path: str) -> None:
    """Add payments to balances until none come."""
    with (
        eventlog.open(path) as log,
        log.producer(transactional_id="balances") as producer,
        log.consumer("payments", group="balances") as consumer,
    ):
        balances = latest_balances(log)
        while records := consumer.poll(timeout=2.0, max_records=20):
            with producer.transaction(consumer):
                for record in records:
                    account = record.key or b""
                    balances[account] = balances.get(account, 0) + int(record.value or b"0")
                    producer.send("balances", b"%d" % balances[account], key=account)


def latest_balances(log: eventlog.EventLog) -> dict[bytes, int]:
    """The committed balance of each account."""
    balances: dict[bytes, int] = {}
    with log.consumer("balances") as reader:  # only what is committed
        while records := reader.poll(timeout=0):
            for record in records:
                balances[record.key or b""] = int(record.value or b"0")
    return balances


def main() -> None:
    """Pay, let the payments be added up by processes that are killed, and compare."""
    with tempfile.TemporaryDirectory() as path, eventlog.open(path) as log:
        expected = dict.fromkeys((account.encode() for account in ACCOUNTS), 0)
        log.create_topic("payments")
        log.create_topic("balances")
        with log.producer(linger_ms=5) as producer:
            for _ in range(PAYMENTS):
                account, amount = random.choice(ACCOUNTS).encode(), random.randrange(100)
                producer.send("payments", b"%d" % amount, key=account)
                expected[account] += amount
        for attempt in range(KILLS + 1):
            process = subprocess.Popen([sys.executable, __file__, path])
            if attempt < KILLS:
                time.sleep(random.uniform(0.2, 0.5))
                process.kill()
            process.wait()
        found = latest_balances(log)
        print(f"{PAYMENTS} payments, {KILLS} kills: {'right' if found == expected else 'WRONG'}")
        for account, balance in sorted(found.items()):
            print(f"{account.decode():8} {balance:8}")
        if found != expected:
            sys.exit(1)


if __name__ == "__main__":
    add_up(sys.argv[1]) if len(sys.argv) > 1 else main()
