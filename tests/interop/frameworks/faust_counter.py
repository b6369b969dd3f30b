"""Faust as people use it: an agent that counts words in a table. Arguments: the broker, the guarantee, a directory.

It prints a line when it is ready. When Faust has read its table, it drops what its queues have (`flow_control.resume()` in
`Recovery.on_recovery_completed`), although it has begun to fill them again, so events that came before may be lost.
"""

import sys

import faust

RECOVERY_DELAY_SECONDS = 5

bootstrap, guarantee, data = sys.argv[1:]
app = faust.App(
    "counter",
    broker=f"kafka://{bootstrap}",
    processing_guarantee=guarantee,
    topic_partitions=1,
    datadir=data,
    web_enabled=False,
    # Exactly once, Faust takes the end of its changelog from the answer to its last fetch (`_highwaters` of its consumer). If
    # there was none yet, it reads nothing of its table, so let it wait.
    stream_recovery_delay=RECOVERY_DELAY_SECONDS if guarantee == "exactly_once" else 0,
)
words = app.topic("words", key_type=str, value_type=str, value_serializer="raw")
counts = app.topic("counts", value_type=str, value_serializer="raw")
table = app.Table("count_of_word", default=int)


@app.agent(words)
async def count(stream):
    async for word in stream:
        table[word] += 1
        await counts.send(value=f"{word} {table[word]}")


@app.task
async def tell_ready():
    print("ready", file=sys.__stdout__, flush=True)  # Faust has replaced sys.stdout by its log


faust.Worker(app, loglevel="warning").execute_from_commandline()
