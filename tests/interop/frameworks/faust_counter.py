"""Faust as people use it: an agent that counts words in a table. Arguments: the broker, the guarantee, a directory."""

import sys

import faust

bootstrap, guarantee, data = sys.argv[1:]
app = faust.App(
    "counter",
    broker=f"kafka://{bootstrap}",
    processing_guarantee=guarantee,
    topic_partitions=1,
    datadir=data,
    web_enabled=False,
)
words = app.topic("words", key_type=str, value_type=str, value_serializer="raw")
counts = app.topic("counts", value_type=str, value_serializer="raw")
table = app.Table("count_of_word", default=int)


@app.agent(words)
async def count(stream):
    async for word in stream:
        table[word] += 1
        await counts.send(value=f"{word} {table[word]}")


faust.Worker(app, loglevel="warning").execute_from_commandline()
