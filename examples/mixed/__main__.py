"""Run the example: `python -m examples.mixed [DIRECTORY]`. The store stays there for you to look at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import eventlog

BILLING = Path(__file__).parent / "billing"
ORDERS = [("customer-7", "two apples"), ("customer-3", "a plum"), ("customer-7", "three pears")]
SECONDS_MAX = 60.0


def main(directory: Path) -> None:
    """Take orders over HTTP, bill them with a Kafka client, and look at all of it with the tools of both sides."""
    store = directory / "store"
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # its lines stay among those of other programs
    print(f"the store is {store}")
    with service(store) as url:
        bootstrap = ask(f"{url}/bootstrap")["bootstrap"]
        print(f"the service answers at {url}, and Kafka's clients connect to {bootstrap}")
        with billing(bootstrap, len(ORDERS), directory):
            for customer, order in ORDERS:
                answer = ask(f"{url}/orders?customer={customer}&wait={SECONDS_MAX}", order.encode())
                print(f"order {answer['offset']} of {customer}: {'billed' if answer['billed'] else 'NOT BILLED'}")
        print("lag:", json.dumps(ask(f"{url}/lag")))
        read_with_console_consumer(bootstrap, len(ORDERS))
        run("eventlog", "--store", str(store), "top", "--once", "--interval", "1")
        with eventlog.open(store) as log:  # one more process with the store open
            print("embedded:", [record.value for record in log.partition("orders", 0).records()])


@contextmanager
def service(store: Path) -> Iterator[str]:
    """The service on a free port, for the length of a block; gives its URL."""
    command = [sys.executable, "-m", "uvicorn", "examples.mixed.service:app", "--port", "0", "--no-access-log"]
    environment = {**os.environ, "EVENTLOG_STORE": str(store)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _url_told(process)
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=SECONDS_MAX)
        assert "Application shutdown complete" in rest, rest


def _url_told(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if "running on " in line:
            return line.split("running on ")[1].split()[0]
    raise SystemExit(f"the service has not started:\n{told}")


@contextmanager
def billing(bootstrap: str, count: int, directory: Path) -> Iterator[None]:
    """The consumer beside the block; after it, the consumer has ended by itself."""
    with subprocess.Popen([*billing_command(directory), bootstrap, str(count)]) as process:
        try:
            yield
            assert process.wait(SECONDS_MAX) == 0
        finally:
            process.kill()


def billing_command(directory: Path) -> list[str]:
    """The consumer in Go; in Python, if Go or its module is not to be had."""
    program = directory / "billing"
    if shutil.which("go") is not None:
        done = subprocess.run(["go", "build", "-o", str(program), "."], cwd=BILLING, capture_output=True, text=True)
        if done.returncode == 0:
            print("billing is written in Go, with franz-go")
            return [str(program)]
        print(f"Go cannot build the consumer: {done.stderr.strip().splitlines()[-1:]}")
    print("billing is written in Python, with confluent-kafka")
    return [sys.executable, str(BILLING / "billing.py")]


def read_with_console_consumer(bootstrap: str, count: int) -> None:
    """Kafka's own tools, from the directory `KAFKA_JARS` or from the path."""
    jars = os.environ.get("KAFKA_JARS")
    reading = ["--bootstrap-server", bootstrap, "--topic", "orders", "--from-beginning", "--max-messages", str(count)]
    describing = ["--bootstrap-server", bootstrap, "--describe", "--group", "billing"]
    if jars and shutil.which("java"):
        java = ["java", "-cp", f"{jars}/*"]
        run(*java, "org.apache.kafka.tools.consumer.ConsoleConsumer", *reading)
        run(*java, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *describing)
    elif shutil.which("kafka-console-consumer.sh"):
        run("kafka-console-consumer.sh", *reading)
        run("kafka-consumer-groups.sh", *describing)
    else:
        print("Kafka's tools are not here: set KAFKA_JARS to the directory of its jars, or add its bin to PATH")


def run(*command: str) -> None:
    """Run a program, and show what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    print("$", *(Path(command[0]).name, *command[1:]), flush=True)
    subprocess.run(command, env={**os.environ, "PATH": path}, check=True, timeout=SECONDS_MAX)


def ask(url: str, body: bytes | None = None) -> Any:
    """What the service answers."""
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=2 * SECONDS_MAX) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="eventlog-mixed-")))
