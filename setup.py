"""The parts of the build that pyproject.toml cannot say: the C extension, the manual, and one wheel for all Pythons (abi3)."""

from setuptools import setup

setup(
    cffi_modules=["native/build.py:ffibuilder"],
    data_files=[("share/man/man1", ["docs/manual/eventlog.1"])],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
