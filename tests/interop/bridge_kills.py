"""Bridges and mirrors that are killed at random moments: nothing is lost, and nothing is there more often than is promised.

`python -m tests.interop.bridge_kills kafka --rounds 50 --server-kills 0.2` does it more often, and kills the server, too.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import eventlog
from tests.cli.command_line import CommandLine
from tests.interop import far_ends
from tests.interop.bridge_processes import (
    BACK,
    GROUP,
    SECONDS_MAX,
    TOPIC,
    BridgeProcess,
    check_collected,
    check_shipped,
    collect,
    make_store,
    ship,
    values_from,
)
from tests.interop.far_ends import FarEnd, KafkaEnd

_RECORDS = 1_000  # of a round
_SECONDS = 0.2  # in which a bridge is killed, after its first record of a round
_MIRROR_SECONDS = 0.3, 1.2  # from when a mirror is started
_GROUP_OF_MIRROR = "billing"


class Choices(NamedTuple):
    """How often bridges die, and when."""

    rounds: int
    random: random.Random
    server_kills: float = 0.0  # the probability in each round

    def is_servers_turn(self) -> bool:
        """Should the server die, too?"""
        return self.random.random() < self.server_kills


def ship_and_kill(far_end: FarEnd, directory: Path, choices: Choices) -> str:
    """Ship by bridges that are killed."""
    store, queue = make_store(directory), far_end.new_queue()
    url, deaths = far_end.url(queue), 0
    with eventlog.open(store) as log, log.producer() as producer:
        for number in range(choices.rounds):
            with BridgeProcess(ship, store, url) as bridge:
                receipts = [producer.send(TOPIC, value) for value in values_from(number * _RECORDS, _RECORDS)]
                assert receipts[0].wait_acked(GROUP, SECONDS_MAX)
                bridge.connection.poll(choices.random.uniform(0, _SECONDS))
                if choices.is_servers_turn():
                    deaths += 1
                    far_end.kill()
                    far_end.start()
                    bridge.connection.poll(choices.random.uniform(0, 10 * _SECONDS))
            deaths += 1
        with BridgeProcess(ship, store, url) as bridge:
            assert receipts[-1].wait_acked(GROUP, SECONDS_MAX)
            bridge.end()
    sent = values_from(0, choices.rounds * _RECORDS)
    twice = check_shipped(far_end, queue, sent, deaths)
    return f"{len(sent)} records, {deaths} deaths, {twice} twice"


def collect_and_kill(far_end: FarEnd, directory: Path, choices: Choices) -> str:
    """Collect by bridges that are killed."""
    store, queue = make_store(directory), far_end.new_queue()
    url, deaths = far_end.url(queue, far_end.impatience), 0
    values = values_from(0, choices.rounds * _RECORDS)
    with eventlog.open(store) as log:
        back = log.partition(BACK, 0)
        for number in range(choices.rounds):
            far_end.put(queue, values[number * _RECORDS : (number + 1) * _RECORDS])
            with BridgeProcess(collect, store, url) as bridge:
                assert back.wait(max(number * _RECORDS, back.end_offset), SECONDS_MAX)
                bridge.connection.poll(choices.random.uniform(0, _SECONDS))
                if choices.is_servers_turn():
                    deaths += 1
                    far_end.kill()
                    far_end.start()
                    bridge.connection.poll(choices.random.uniform(0, 10 * _SECONDS))
            deaths += 1
        with BridgeProcess(collect, store, url) as bridge:
            assert back.wait(len(values) - 1, SECONDS_MAX), back.end_offset
            bridge.end()
        check_collected(log, values)
    return f"{len(values)} messages, {deaths} deaths, each once"


# --- mirrors ---------------------------------------------------------------------------------------------------------


def mirror_out_and_kill(far_end: FarEnd, directory: Path, choices: Choices) -> str:
    """Mirror to a cluster by programs that are killed."""
    assert isinstance(far_end, KafkaEnd)
    topic = f"out.{choices.random.getrandbits(64):x}"
    command_line = CommandLine(directory)
    with eventlog.open(directory) as log:
        log.create_topic(topic)
        partition = log.partition(topic, 0)
        arguments = ["--to", far_end.url(""), "--topics", topic]
        _mirror_and_kill(command_line, arguments, choices, lambda values: partition.append_many(values))
        log.create_group(_GROUP_OF_MIRROR).reset({(topic, 0): _RECORDS})
        command_line.output("mirror", *arguments, "--once")
        assert command_line.output("mirror", *arguments, "--dry-run", "--json") == ""
    sent = values_from(0, choices.rounds * _RECORDS)
    assert far_end.cluster.values(topic) == sent
    return f"{len(sent)} records, {choices.rounds} deaths, each once"


def mirror_in_and_kill(far_end: FarEnd, directory: Path, choices: Choices) -> str:
    """Mirror from a cluster by programs that are killed."""
    assert isinstance(far_end, KafkaEnd)
    topic = far_end.new_queue()
    command_line = CommandLine(directory)
    arguments = [far_end.url(""), "--topics", topic]
    with eventlog.open(directory):
        pass
    _mirror_and_kill(command_line, arguments, choices, lambda values: far_end.put(topic, values))
    command_line.output("mirror", *arguments, "--once")
    assert command_line.output("mirror", *arguments, "--dry-run", "--json") == ""
    sent = values_from(0, choices.rounds * _RECORDS)
    with eventlog.open(directory) as log:
        assert list(log.partition(topic, 0).values()) == sent
    return f"{len(sent)} records, {choices.rounds} deaths, each once"


def _mirror_and_kill(
    command_line: CommandLine, arguments: list[str], choices: Choices, put: Callable[[list[bytes]], object]
) -> None:
    try:
        for number in range(choices.rounds):
            process = command_line.start("mirror", *arguments, "--every", "0.01")
            for part in range(10):
                put(values_from(number * _RECORDS + part * (_RECORDS // 10), _RECORDS // 10))
            with suppress(subprocess.TimeoutExpired):
                process.wait(choices.random.uniform(*_MIRROR_SECONDS))
            assert process.poll() is None, process.communicate()
            process.kill()
    finally:
        command_line.kill_all()


def main() -> None:
    """All ways of a system, with as many kills as are asked for."""
    parser = argparse.ArgumentParser("python -m tests.interop.bridge_kills", description=__doc__)
    parser.add_argument("system", choices=sorted(far_ends.SYSTEMS))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--server-kills", type=float, default=0.1, help="the probability in each round")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "server").mkdir()
        far_end = far_ends.SYSTEMS[options.system].make(directory / "server")
        ways = [ship_and_kill, collect_and_kill]
        if isinstance(far_end, KafkaEnd):
            ways += [mirror_out_and_kill, mirror_in_and_kill]
        try:
            far_end.start()
            for way in ways:
                choices = Choices(options.rounds, random.Random(options.seed), options.server_kills)
                print(f"{options.system}, {way.__name__}: {way(far_end, directory / way.__name__, choices)}", flush=True)
        finally:
            far_end.close()


if __name__ == "__main__":
    main()
