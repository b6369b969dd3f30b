"""The same consumer as `main.go`, for machines without Go: `python billing.py BOOTSTRAP COUNT`."""

from __future__ import annotations

import sys

from confluent_kafka import Consumer


def main(bootstrap: str, count: int) -> None:
    """Bill so many orders, and acknowledge each of them."""
    options = {"bootstrap.servers": bootstrap, "group.id": "billing", "auto.offset.reset": "earliest"}
    consumer = Consumer({**options, "enable.auto.commit": False})
    consumer.subscribe(["orders"])
    billed = 0
    while billed < count:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise SystemExit(str(message.error()))
        billed += 1
        key, value = (message.key() or b"").decode(), (message.value() or b"").decode()
        print(f"billed order {message.offset()} of {key}: {value}", flush=True)
        consumer.commit(message=message, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
