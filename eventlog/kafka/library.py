"""confluent-kafka, which only those install who use a cluster."""

from __future__ import annotations

from typing import Any

from eventlog.errors import StoreOpenError


def library() -> Any:
    """The module `confluent_kafka`. Raises `StoreOpenError` if it is not installed."""
    try:
        import confluent_kafka
    except ImportError as error:
        raise StoreOpenError(
            f"a kafka:// URL needs confluent-kafka, which cannot be imported ({error}): pip install 'eventlog-store[kafka]'"
        ) from error
    return confluent_kafka


def admin_library() -> Any:
    """The module `confluent_kafka.admin`."""
    library()
    import confluent_kafka.admin

    return confluent_kafka.admin
