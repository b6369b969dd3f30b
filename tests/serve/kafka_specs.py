"""Kafka's message specifications, out of the jar that the tests against Apache Kafka fetch, as the server ships them.

`python -m tests.serve.kafka_specs` writes eventlog/serve/protocol/specs.json anew.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[2] / "eventlog" / "serve" / "protocol" / "specs.json"
APIS = ["ApiVersions", "CreateTopics", "DeleteTopics", "Fetch", "InitProducerId", "ListOffsets", "Metadata", "Produce"]
_WORDS = {"about", "entityType", "mapKey", "ignorable", "zeroCopy", "latestVersionUnstable", "listeners"}


def read_specs(jar: Path) -> str:
    """What specs.json has to hold: the specifications of the APIs that are offered, one a line, without what is for people."""
    with zipfile.ZipFile(jar) as archive:
        specs = [_read(archive, f"{api}{kind}") for api in APIS for kind in ("Request", "Response")]
    return "[\n" + ",\n".join(json.dumps(spec, separators=(",", ":")) for spec in specs) + "\n]\n"


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    text = archive.read(f"common/message/{name}.json").decode()
    return _without_words(json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)))


def _without_words(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_without_words(item) for item in spec]
    if isinstance(spec, dict):
        return {key: _without_words(value) for key, value in spec.items() if key not in _WORDS}
    return spec


if __name__ == "__main__":
    from tests.interop import apache_kafka

    assert apache_kafka.fetch() is None
    SHIPPED.write_text(read_specs(next(apache_kafka.JARS.glob("kafka-clients-*.jar"))), "utf-8")
