"""The message specifications that the server ships are those of Apache Kafka."""

from __future__ import annotations

import pytest

from tests.interop import apache_kafka
from tests.serve.kafka_specs import SHIPPED, read_specs


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_the_specifications_are_kafkas() -> None:
    jar = next(apache_kafka.JARS.glob("kafka-clients-*.jar"))
    assert SHIPPED.read_text("utf-8") == read_specs(jar)
