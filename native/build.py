"""Builds `eventlog._native`, the one cffi extension (API mode, limited API: one binary for every Python from 3.10)."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent

_SOURCES = sorted(
    str(path.relative_to(_ROOT)) for folder in ("codec", "store", "python") for path in (_HERE / folder).glob("*.c")
)

ffibuilder = FFI()
ffibuilder.cdef((_HERE / "eventlog.cdef.h").read_text())
ffibuilder.set_source(
    "eventlog._native",
    """
    #include "codec/batch.h"
    #include "codec/compact.h"
    #include "codec/crc32c.h"
    #include "codec/murmur2.h"
    #include "codec/search.h"
    #include "store/acks.h"
    #include "store/appender.h"
    #include "store/gate.h"
    #include "store/head.h"
    #include "store/index.h"
    #include "store/reader.h"
    #include "store/signals.h"
    #include "python/functions.h"
    #include "python/iterators.h"
    #include "python/objects.h"
    """,
    sources=_SOURCES,
    include_dirs=["native"],
    depends=sorted(str(path.relative_to(_ROOT)) for path in _HERE.rglob("*.h")),
    extra_compile_args=["-std=gnu11", "-O3", "-flto", "-pthread", "-fvisibility=hidden"],
    extra_link_args=["-O3", "-flto", "-pthread"],
    py_limited_api=True,
)
