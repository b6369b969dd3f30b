"""The rules of docs/style.md that a test can enforce."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "eventlog"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = [path for directory in ("examples", "benchmarks", "torture", "docs") for path in (ROOT / directory).rglob("*.py")]
PYTHON_FILES = sorted([*MODULES, *TESTS, *SCRIPTS])
C_FILES = sorted(path for directory in ("native", "torture") for path in (ROOT / directory).rglob("*.[ch]"))
FUNCTION_LINES_MAX = 60

# What each layer may import, apart from itself and the leaves.
LEAVES = {
    "access", "anchored", "background", "clock", "counters", "errors", "existing", "holding", "hub", "logs", "nesting",
    "options", "periodic", "waiting",
}  # fmt: skip
LAYERS = {
    "_native": set(),
    "access": {"_native"},
    "clock": {"_native"},
    "holding": {"_native"},
    "nesting": {"_native"},
    "waiting": {"_native"},
    "records": {"_native"},
    "storage": {"records", "_native"},
    "catalog": {"records"},
    "store": {"storage", "catalog", "records"},
    "groups": {"store", "storage", "catalog", "records"},
    "transactions": {"groups", "store", "storage", "catalog", "records"},
    "log": {"store", "storage", "catalog", "records"},
    "maintenance": {"transactions", "groups", "store", "storage", "catalog", "records"},
    "admin": {"transactions", "groups", "log", "store", "storage", "catalog", "records"},
    "producer": {"transactions", "groups", "log", "store", "storage", "catalog", "records", "_native"},
    "consumer": {"groups", "log", "store", "storage", "catalog", "records"},
    "worker": {"consumer", "groups", "log", "store", "storage", "catalog", "records"},
    "views": {"transactions", "groups", "log", "storage", "catalog", "records"},
    "bridges": {"contract", "consumer", "producer", "transactions", "groups", "log", "store", "storage", "catalog", "records"},
    "serve": {"transactions", "groups", "log", "store", "storage", "catalog", "records"},
    "kafka": {"bridges", "views", "consumer", "producer", "groups", "storage", "catalog", "records"},
    "api": {
        "bridges", "kafka", "serve", "admin", "maintenance", "views", "worker", "producer", "consumer", "transactions",
        "groups", "log", "store", "catalog", "records",
    },
    "aio": {
        "api", "bridges", "kafka", "serve", "admin", "maintenance", "views", "transactions", "producer", "consumer", "groups",
        "log", "catalog", "storage", "records",
    },
    "contract": {"consumer", "producer", "records"},  # the types that it names
    "cli": {"", "bridges", "serve", "log", "storage", "records"},
    "json": set(),
    "msgspec": set(),
    "opentelemetry": {"contract", "records"},
    "prometheus": {"api"},
    "pydantic": set(),
    "testing": {"", "api", "serve", "storage"},
    "__main__": {"cli"},
}
STORAGE_WINGS = ["segments", "mapped", "partition", "cleaning"]  # each imports only those before it
C_LAYERS = {"codec": {"codec"}, "store": {"codec", "store"}, "python": {"codec", "store", "python"}}


def identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def of_each(paths: Iterable[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """A rule for one file becomes one test of all these files, whose error names each file that breaks it. With a test for each
    file, the rules would be a third of all tests."""

    def decorate(rule: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for path in paths:
                try:
                    rule(path)
                except AssertionError as error:
                    broken.append(f"{identify(path)}: {error}")
            assert not broken, "\n".join(broken)

        test.__doc__ = rule.__doc__
        return test

    return decorate


def layer(module: str) -> str:
    """The layer of a dotted name: "eventlog.storage.segments.names" is in "storage", "eventlog" itself in ""."""
    return [*module.split("."), ""][1]


def imported_layers(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "eventlog":
            for name in node.names:
                is_module = (PACKAGE / name.name).is_dir() or (PACKAGE / f"{name.name}.py").exists() or name.name == "_native"
                yield node.lineno, name.name if is_module else ""
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eventlog."):
            yield node.lineno, layer(node.module or "")
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "eventlog":
                    yield node.lineno, layer(name.name)


@of_each([path for path in MODULES if path != PACKAGE / "__init__.py"])
def test_imports_run_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = LEAVES | {own} | LAYERS.get(own, set())
    wrong = [f"line {line} imports {name or 'eventlog'!r}" for line, name in imported_layers(path) if name not in allowed]
    assert not wrong


@of_each(sorted((PACKAGE / "storage").rglob("*/*.py")))
def test_a_wing_of_storage_imports_only_those_before_it(path: Path) -> None:
    allowed = STORAGE_WINGS[: STORAGE_WINGS.index(path.parent.name) + 1]
    modules = [node.module or "" for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
    wings = [f"{module}.".split(".")[2] for module in modules if module.startswith("eventlog.storage")]
    assert not [wing for wing in wings if wing not in allowed]


@of_each(PYTHON_FILES)
def test_a_python_function_fits_a_screen(path: Path) -> None:
    functions = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert not {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX}


@of_each(C_FILES)
def test_a_c_function_fits_a_screen(path: Path) -> None:
    long = {}
    start = 0
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if re.match(r"^[A-Za-z_].*[^;]$", line) and "(" in line:
            start = number
        if line == "}" and start and number - start + 1 > FUNCTION_LINES_MAX:
            long[start] = number - start + 1
    assert not long


@of_each([path for path in C_FILES if path.parent.name in C_LAYERS])
def test_c_includes_run_one_way(path: Path) -> None:
    allowed = C_LAYERS[path.parent.name]
    for include in re.findall(r'^#include "(.+)"', path.read_text("utf-8"), re.MULTILINE):
        directory = (path.parent / include).resolve().parent if (path.parent / include).exists() else ROOT / "native" / include
        assert (directory if directory.is_dir() else directory.parent).name in allowed, include
    includes_python = re.search(r"^#include <Python.h>", path.read_text("utf-8"), re.MULTILINE)
    assert not includes_python or path.parent.name == "python"


@of_each(MODULES)
def test_public_names_have_docstrings(path: Path) -> None:
    module = tree(path)
    missing = [] if ast.get_docstring(module) else ["the module"]
    for node in module.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            missing += [] if ast.get_docstring(node) else [node.name]
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            is_trivial = (node.end_lineno or 0) - node.lineno <= 3
            missing += [] if ast.get_docstring(node) or is_trivial else [node.name]
    assert not missing


def test_what_eventlog_exports_is_documented_to_the_last_method() -> None:
    import eventlog

    missing = []
    for name in eventlog.__all__:
        item = getattr(eventlog, name)
        missing += [] if getattr(item, "__doc__", None) else [name]
        for member, value in vars(item).items() if isinstance(item, type) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)) and not value.__doc__:
                missing.append(f"{name}.{member}")
    assert not missing


def test_a_wheel_has_every_file_of_the_package() -> None:
    """Without this, an editable installation works, and a wheel does not."""
    declared = re.search(r"^eventlog = (\[.*\])$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert declared is not None
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".so")]
    assert {path.relative_to(PACKAGE).as_posix() for path in files} == set(ast.literal_eval(declared[1]))


@of_each(TESTS)
def test_no_test_sleeps(path: Path) -> None:
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    sleeps = [call.lineno for call in calls if ast.unparse(call.func) in {"time.sleep", "sleep", "asyncio.sleep"}]
    assert not sleeps


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    promises = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text.split("## Durability")[0], re.MULTILINE)[2:]
    assert promises
    for promise, shown_by in promises:
        tests = re.findall(r"`((?:tests|native|torture)/[^`:]+)(?:::(\w+))?`", shown_by)
        assert tests, promise
        for path, name in tests:
            assert (ROOT / path).exists(), path
            assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"


@of_each(sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]))
def test_no_link_between_pages_is_broken(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}
OWN = {"self", "cls", "super()"}
NO_PUBLIC_WAY = {"_exit", "_is_owned"}  # to end a forked child; to ask an RLock whose it is


def own_names(kind: ast.ClassDef) -> set[str]:
    """What a class defines, or sets in its instances."""
    nodes = list(ast.walk(kind))
    attributes = {node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self", "cls"}}
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    variables = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {node.attr for node in attributes} | functions | variables


def foreign_members(node: ast.AST, own: set[str]) -> Iterator[str]:
    """Uses of private members of other objects, but for those of the class in whose body they stand."""
    own = own_names(node) if isinstance(node, ast.ClassDef) else own
    is_private = isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and ast.unparse(node.value) not in OWN
    if is_private and node.attr not in OF_NAMED_TUPLES | NO_PUBLIC_WAY | own:
        yield f"line {node.lineno}: {ast.unparse(node)}"
    for child in ast.iter_child_nodes(node):
        yield from foreign_members(child, own)


@of_each(MODULES)
def test_nobody_touches_the_private_members_of_another_object(path: Path) -> None:
    assert not list(foreign_members(tree(path), set()))


# Names of what takes a lock.
TAKES_A_LOCK = {"acquire", "flock", "held", "lock_within", "locked", "locked_alone", "lockf", "passed", "segments_locked"}


@of_each(MODULES)
def test_no_generator_holds_a_lock_for_a_block(path: Path) -> None:
    """An interrupt would leave the generator hanging with the lock: `eventlog.holding` is for that."""
    wrong = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and any("contextmanager" in ast.unparse(each) for each in node.decorator_list):
            attributes = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            wrong += [f"{node.name}: {name}" for name in sorted((attributes | names) & TAKES_A_LOCK)]
    assert not wrong


# Words that say nothing about what they name: use slot, position, index, snapshot, check, holder.
EMPTY_WORDS = {"glance", "glimpse", "keep", "look", "looks", "place", "places", "thing", "things", "who", "whoever"}


@of_each(MODULES)
def test_names_say_something(path: Path) -> None:
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg | ast.keyword):
            names.add(node.arg or "")
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    assert not names & EMPTY_WORDS
