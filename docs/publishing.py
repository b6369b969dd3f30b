"""A hook of MkDocs: what the documentation's site has beside the pages in docs/, and that nothing public is left out of it.

The README is the first page; the changelog, the advice for contributors and the examples are pages, too. Links are written for
the repository, so that they work there, and are turned into those of the site. As a program, it tells what building needs:
installing the extra `docs` would compile eventlog again.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import posixpath
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PUBLIC_MODULES = ("eventlog", "eventlog.aio", "eventlog.testing")

# Pages of the site, by what they are made of.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/mixed/README.md": "examples/mixed.md",
    "examples/device.py": "examples/device.md",
    "examples/exactly_once.py": "examples/exactly_once.md",
    "examples/microservices.py": "examples/microservices.md",
}
_SOURCES = {page: source for source, page in PAGES.items()}
_INSTEAD = {"eventlog/contract.py": "reference/contract.md"}  # what is shown by another page

_LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=_content(ROOT / source)))
    return files


def _content(path: Path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    title = path.stem.replace("_", " ").capitalize()
    return f"# {title}\n\n`{path.relative_to(ROOT)}`\n\n```python\n{text}```\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links within the repository into links within the site."""
    here = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")
    if source.endswith(".py"):
        return markdown

    def replaced(link: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        target = PAGES.get(wanted) or _INSTEAD.get(wanted) or wanted.removeprefix("docs/")
        return link[1] + posixpath.relpath(target, posixpath.dirname(here) or ".") + link[3]

    return _LINK.sub(replaced, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Raise an error if a public name is not in the reference."""
    from mkdocs.exceptions import PluginError

    inventory = _inventory(Path(config.site_dir) / "objects.inv")
    missing = [name for name in public_names() if name not in inventory]
    if missing:
        raise PluginError(f"the reference lacks {', '.join(missing)}: add them to a page in docs/reference")


def _inventory(path: Path) -> set[str]:
    """The names in an inventory of Sphinx, version 2: four lines of text, then compressed ones that begin with a name."""
    *_, compressed = path.read_bytes().split(b"\n", 4)
    return {line.split(" ", 1)[0] for line in zlib.decompress(compressed).decode().splitlines()}


def public_names() -> list[str]:
    """The names that programs may use, with their modules."""
    return [f"{module}.{name}" for module in PUBLIC_MODULES for name in importlib.import_module(module).__all__]


def requirements() -> list[str]:
    """What the extra `docs` consists of."""
    required = importlib.metadata.requires("eventlog-store") or []
    return [each.partition(";")[0].strip() for each in required if 'extra == "docs"' in each]


if __name__ == "__main__":
    print(*requirements())
