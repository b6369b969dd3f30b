"""The documentation's site: what is public is in its reference, and its tables of names have names that there are."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import eventlog
from tests.cli.commands import LEAF_COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PUBLISHING = runpy.run_path(str(ROOT / "docs" / "publishing.py"))
PAGES: dict[str, str] = PUBLISHING["PAGES"]
REFERENCE = "".join(page.read_text("utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
NAMES = (ROOT / "docs" / "names.md").read_text("utf-8")
NAVIGATION = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
WHOLE_MODULES = ("contract", "json", "msgspec", "opentelemetry", "prometheus", "pydantic")


def shown() -> list[str]:
    return re.findall(r"^::: (eventlog[\w.]*)$", REFERENCE, re.MULTILINE)


def test_every_public_name_is_in_the_reference() -> None:
    names = PUBLISHING["public_names"]()
    assert len(names) > 100 and {name.rpartition(".")[0] for name in names} == set(PUBLISHING["PUBLIC_MODULES"])
    assert set(names) <= set(shown())


def test_every_public_module_is_in_the_reference() -> None:
    alone = {path.stem for path in (ROOT / "eventlog").glob("*.py")} - {"__init__", "__main__"}
    public = {name for name in alone if f"eventlog.{name}" in shown()}
    assert public == set(WHOLE_MODULES)


def test_the_reference_names_what_there_is() -> None:
    assert len(set(shown())) == len(shown())
    for name in shown():
        assert find(name) is not None


def find(path: str) -> Any:
    """What a dotted name refers to."""
    *modules, name = path.split(".")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(".".join(modules)), name)


def test_every_page_is_in_the_navigation_once() -> None:
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(re.findall(r"[\w/-]+\.md$", NAVIGATION, re.MULTILINE)) == sorted([*pages, *PAGES.values()])
    assert all((ROOT / source).is_file() for source in PAGES)


# --- the names of Kafka -------------------------------------------------------------------------------------


def cells() -> list[str]:
    """What stands in backticks in the last column."""
    rows = [row.strip("| ").split(" | ") for row in NAMES.splitlines() if row.startswith("| ") and "---" not in row]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[-1])]


PYTHON = re.compile(r"([A-Za-z]\w*)(?:\.(\w+))?(?:\((\w+)\))?")


@pytest.mark.parametrize("name", sorted({name for name in cells() if not name.startswith("eventlog ")}))
def test_the_name_in_the_table_is_there(name: str) -> None:
    found = PYTHON.fullmatch(name)
    if name == "with":
        return
    assert found is not None
    owner, member, parameter = found.groups()
    value = eventlog if owner == "eventlog" else getattr(eventlog, owner)
    if member is not None:
        value = getattr(value, member)
    if parameter is not None:
        assert parameter in inspect.signature(value).parameters


@pytest.mark.parametrize("name", sorted({name for name in cells() if name.startswith("eventlog ")}))
def test_the_command_in_the_table_is_there(name: str) -> None:
    assert tuple(name.split()[1:]) in LEAF_COMMANDS
