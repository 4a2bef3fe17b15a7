"""What mkdocs is told of the site: its navigation, the pages from outside docs/, and links that leave it.

Pages are found, not listed: one that somebody adds to docs/ is in the site, under its own title.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = {
    "README.md": "manual.md",
    "benchmarks/README.md": "numbers.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents that live beside docs/, and what they are called in the site."""
FIRST = ("tutorial.md",)
LAST = ("records.md", "reference.md")
_FENCE = re.compile(r"^(```\w+) [^\n]*$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Home and tutorial, how-to pages, the other pages, decisions; then what lies outside docs/."""
    loose = sorted(path.name for path in DOCS.glob("*.md"))
    between = [name for name in loose if name not in ("README.md", *FIRST, *LAST)]
    config.nav = [
        {"Home": "README.md"},
        *(_titled(name) for name in FIRST),
        {"How to": [_titled(f"how-to/{path.name}") for path in sorted((DOCS / "how-to").glob("*.md"))]},
        {"Manual": "manual.md"},
        *(_titled(name) for name in (*between, *LAST)),
        {"Numbers": "numbers.md"},
        {"Decisions": [_titled(f"design/{path.name}") for path in sorted((DOCS / "design").glob("*.md"))]},
        {"Working on it": "contributing.md"},
        {"Changes": "changelog.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The documents beside docs/ are pages too."""
    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Words after a fence's language are for the tests; links out of the site are words, and so are pictures from there."""
    inside = {name: source for source, name in OUTSIDE.items()}
    home = inside.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        _FENCE.sub(r"\1", part)
        if part.startswith("```")
        else _LINK.sub(lambda match: _link(match, home, page), part)
        for part in parts
    )


def _link(match: re.Match[str], home: str, page: Page) -> str:
    mark, text, (file, hash_, heading) = match[1], match[2], match[3].partition("#")
    if "://" in file or not file:
        return match[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(home), file))
    name = OUTSIDE.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
    if name is None or not name.endswith(".svg" if mark else ".md"):
        return text
    here = posixpath.dirname(page.file.src_uri)
    return f"{mark}[{text}]({posixpath.relpath(name, here or '.')}{hash_}{heading})"


def _titled(name: str) -> dict[str, str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return {title[1] if title else name: name}
