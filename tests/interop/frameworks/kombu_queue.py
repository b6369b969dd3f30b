"""kombu's transport confluentkafka: a queue that is filled and emptied. Arguments: the broker, how many messages."""

import sys

from kombu import Connection

bootstrap, messages = sys.argv[1], int(sys.argv[2])
with Connection(f"confluentkafka://{bootstrap}") as connection, connection.SimpleQueue("jobs") as queue:
    for number in range(messages):
        queue.put({"number": number})
    for _ in range(messages):
        message = queue.get(timeout=20)
        print(message.payload["number"])
        message.ack()
