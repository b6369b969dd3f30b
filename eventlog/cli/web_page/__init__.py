"""The page of `eventlog web`: one document that holds its style and its script, and loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from typing import NamedTuple


class WebPage(NamedTuple):
    """The document, and the Content-Security-Policy under which only its own style and script run."""

    content: bytes
    policy: str


def load_page(store_name: str) -> WebPage:
    """The page for a store of this name."""
    directory = Path(__file__).parent
    style, script = ((directory / name).read_text("utf-8") for name in ("page.css", "page.js"))
    document = (directory / "page.html").read_text("utf-8")
    document = document.replace("{{style}}", style).replace("{{script}}", script)
    document = document.replace("{{store}}", html.escape(store_name.encode("utf-8", "replace").decode()))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return WebPage(document.encode(), policy)


def _hash(text: str) -> str:
    """How a policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
