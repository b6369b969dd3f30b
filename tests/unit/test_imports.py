"""What a program pays for `import eventlog`: little before it opens a store, and then no module that is dear and not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import eventlog

# dataclasses takes inspect, ast and dis with it, and compiles a method or more for each class.
DEAR = {"asyncio", "click", "dataclasses", "inspect", "rich", "secrets", "unittest"}


def imported_by(statement: str) -> set[str]:
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_alone_imports_its_errors_and_hardly_anything_else_of_its_own() -> None:
    found = imported_by("import eventlog")
    assert {name for name in found if name.startswith("eventlog")} == {"eventlog", "eventlog.errors"}
    assert not found & {"collections.abc", "functools", "importlib", "pathlib", "re", "types", "typing"}


def test_a_program_that_opens_a_store_imports_nothing_dear() -> None:
    imported = imported_by("import eventlog; eventlog.open")
    assert "eventlog.storage.partition.partition" in imported
    assert not imported & DEAR


def test_names_that_are_not_imported_yet_are_listed() -> None:
    program = "import eventlog; print(set(eventlog.__all__) <= set(dir(eventlog)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        eventlog.no_such_name  # noqa: B018
