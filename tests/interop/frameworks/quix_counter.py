"""Quix Streams as people use it: count words in a state with a changelog.

Arguments: the broker, the guarantee, how many words.
"""

import sys
import tempfile

from quixstreams import Application, State

bootstrap, guarantee, words = sys.argv[1], sys.argv[2], int(sys.argv[3])


def counted(word: str, state: State) -> str:
    count = state.get("count", 0) + 1
    state.set("count", count)
    return f"{word} {count}"


with tempfile.TemporaryDirectory() as state_dir:
    app = Application(
        bootstrap, consumer_group="counters", auto_offset_reset="earliest", processing_guarantee=guarantee, state_dir=state_dir
    )
    words_topic = app.topic("words", key_deserializer="str", value_deserializer="str")
    counts_topic = app.topic("counts", value_serializer="str")
    app.dataframe(words_topic).apply(counted, stateful=True).to_topic(counts_topic)
    app.run(count=words, timeout=20)
