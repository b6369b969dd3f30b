"""The bits of a batch's attributes that the library knows, as `native/codec/batch.h` defines them.

Source: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

from eventlog._native import lib

COMPRESSION: int = int(lib.EL_ATTRIBUTE_COMPRESSION)  # a mask: these bits are the number of a codec
LOG_APPEND_TIME: int = int(lib.EL_ATTRIBUTE_LOG_APPEND_TIME)
TRANSACTIONAL: int = int(lib.EL_ATTRIBUTE_TRANSACTIONAL)
CONTROL: int = int(lib.EL_ATTRIBUTE_CONTROL)
