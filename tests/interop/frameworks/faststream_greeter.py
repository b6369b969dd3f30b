"""FastStream as people use it: greet every name. Arguments: confluent or kafka (aiokafka), the broker, how many names."""

import asyncio
import sys
from importlib import import_module

from faststream import FastStream

flavour, bootstrap, names = sys.argv[1], sys.argv[2], int(sys.argv[3])
broker = import_module(f"faststream.{flavour}").KafkaBroker(bootstrap)
app = FastStream(broker)
greeted = 0


@broker.subscriber("names", group_id="greeters", auto_offset_reset="earliest")
@broker.publisher("greetings")
async def greet(name: str) -> str:
    global greeted
    greeted += 1
    if greeted == names:
        app.exit()
    return f"Hello {name}"


asyncio.run(app.run())
