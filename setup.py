"""The parts of the build that pyproject.toml cannot say: the C extension, the manual, and one wheel for all Pythons (abi3)."""

import os
import shutil
import sys
import sysconfig

from setuptools import setup

compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
if sys.platform != "linux":
    sys.exit("eventlog runs on Linux only, whose futexes, locks and /proc it needs: use a container or a virtual machine")
if shutil.which(compiler) is None:
    sys.exit(f"eventlog is partly written in C, and there is no C compiler ({compiler}): apt install gcc libc6-dev")
if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    sys.exit("eventlog is partly written in C, and Python's headers are not there: apt install python3-dev")

setup(
    cffi_modules=["native/build.py:ffibuilder"],
    data_files=[("share/man/man1", ["docs/manual/eventlog.1"])],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
