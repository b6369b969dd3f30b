"""The parts of the build that pyproject.toml cannot say: the C extension, and one wheel for all Pythons (abi3)."""

from setuptools import setup

setup(
    cffi_modules=["native/build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
