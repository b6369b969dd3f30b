"""Builds `eventlog._native`, the one cffi extension (API mode, limited API: one binary for every Python from 3.10).

`python native/build.py DIRECTORY` builds the variant for tests, with the fault points of `store/fault.h` and the assertions of
`codec/assertions.h`, as `DIRECTORY/eventlog/_native*.so`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent

_SOURCES = sorted(
    str(path.relative_to(_ROOT)) for folder in ("codec", "store", "python") for path in (_HERE / folder).glob("*.c")
)


def _builder(
    sources: list[str], include_directory: str, macros: list[tuple[str, str | None]], optimization: list[str]
) -> FFI:
    builder = FFI()
    builder.cdef((_HERE / "eventlog.cdef.h").read_text())
    builder.set_source(
        "eventlog._native",
        """
        #define PyInit__native el_init_cffi /* python/module.c has the other one, which calls it */
        #include "codec/batch.h"
        #include "codec/compact.h"
        #include "codec/crc32c.h"
        #include "codec/murmur2.h"
        #include "codec/produce_request.h"
        #include "codec/produced.h"
        #include "codec/search.h"
        #include "store/acks.h"
        #include "store/appender.h"
        #include "store/at_once.h"
        #include "store/clock.h"
        #include "store/columns.h"
        #include "store/file.h"
        #include "store/file_system.h"
        #include "store/gate.h"
        #include "store/head.h"
        #include "store/index.h"
        #include "store/produce_loop.h"
        #include "store/producers.h"
        #include "store/reader.h"
        #include "store/share.h"
        #include "store/signals.h"
        #include "store/slice.h"
        #include "python/objects.h"
        """,
        sources=sources,
        include_dirs=[include_directory],
        define_macros=macros,
        depends=sorted(str(path.relative_to(_ROOT)) for path in _HERE.rglob("*.h")),
        extra_compile_args=["-std=gnu11", *optimization, "-pthread", "-fvisibility=hidden"],
        extra_link_args=[*optimization, "-pthread"],
        py_limited_api=True,
    )
    return builder


# Debug information is five times as large as the code: those have it who ask for it.
_STRIPPED = [] if "-g" in os.environ.get("CFLAGS", "").split() else ["-s"]
ffibuilder = _builder(_SOURCES, "native", [], ["-O3", "-flto", *_STRIPPED])


def _build_with_fault_points(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)  # objects go to where the compiler is started
    sources = [str(_ROOT / source) for source in _SOURCES]
    macros: list[tuple[str, str | None]] = [("EVENTLOG_FAULT_POINTS", None), ("EVENTLOG_ASSERTIONS", None)]
    _builder(sources, str(_HERE), macros, ["-O1"]).compile(str(directory))


if __name__ == "__main__":
    _build_with_fault_points(Path(sys.argv[1]).resolve())
