"""Two microservices over a store, which later move to a cluster of Apache Kafka by changing one string.

    python examples/microservices.py                            # a store in a temporary directory
    python examples/microservices.py /srv/shop                  # a store in this directory
    python examples/microservices.py kafka://localhost:9092     # a cluster: pip install 'eventlog-store[kafka]'

The shop sends orders, and knows of each one when billing has dealt with it. Billing is a process of its own, which may be
killed and started again, and continues where it was. Neither knows what keeps the log: both go by `eventlog.contract`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress

import eventlog
from eventlog import TopicExistsError, contract

ORDERS = 200
CUSTOMERS = [b"ada", b"grace", b"linus"]


def shop(log: contract.Log) -> int:
    """Order things, and wait until all orders are billed; returns what they cost."""
    total = 0
    with log.producer(linger_ms=5) as producer:
        receipts = []
        for number in range(ORDERS):
            price = 1 + number % 7
            receipts.append(producer.send("orders", b"%d" % price, key=CUSTOMERS[number % 3]))
            total += price
        producer.flush()
        for receipt in receipts:
            if not receipt.wait_acked("billing", timeout=60):
                raise TimeoutError(f"order {receipt.topic}-{receipt.partition}@{receipt.offset} was not billed")
    return total


def billing(log: contract.Log) -> None:
    """Send a bill for each order, until nothing was ordered for a while."""
    with log.producer() as producer, log.consumer("orders", group="billing") as consumer:
        while records := consumer.poll(timeout=5):
            for record in records:
                producer.send("bills", record.value, key=record.key)
            consumer.commit()


def billed(log: contract.Log) -> int:
    """The sum of all bills."""
    partitions = [log.partition("bills", number) for number in range(log.topic("bills").partitions)]
    return sum(int(value or b"0") for partition in partitions for value in partition.values())


def main(url: str) -> bool:
    """Run both services, and compare what was ordered with what was billed."""
    with eventlog.open(url) as log:
        for topic in ("orders", "bills"):
            with suppress(TopicExistsError):
                log.create_topic(topic, partitions=3)
        before = billed(log)
        service = subprocess.Popen([sys.executable, __file__, "billing", url])
        ordered = shop(log)
        service.wait()
        found = billed(log) - before
    print(f"{url.partition(':')[0] if '://' in url else 'directory'}: ordered {ordered}, billed {found}")
    return service.returncode == 0 and found == ordered


if __name__ == "__main__":
    if sys.argv[1:2] == ["billing"]:
        with eventlog.open(sys.argv[2]) as opened:
            billing(opened)
    elif len(sys.argv) > 1:
        sys.exit(not main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as directory:
            sys.exit(not main(directory))
