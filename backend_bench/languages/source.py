"""A Python file taken apart far enough to tell its language: what it refers to, and the text of its strings.

A few passes of regular expressions, each linear in the text and none recursive: a candidate's file may be anything, and
Python's own parser can be made to overflow. It resolves names as imports say; it follows no assignment and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Possessive, so that no text makes them try again; an open string ends with the file.
_LEXEME = re.compile(
    r"""
      \#[^\n]*+
    | \"\"\"(?:[^"\\]|\\.|"(?!""))*+(?:\"\"\"|\\?\Z)
    | '''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\\?\Z)
    | "(?:[^"\\\n]|\\.)*+"?
    | '(?:[^'\\\n]|\\.)*+'?
    """,
    re.VERBOSE | re.DOTALL,
)
_IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+(?P<base>[\w.]+)[ \t]+)?import\b[ \t]*(?P<names>\([^()]*+\)|[^\n;()]*+)",
    re.MULTILINE,
)
_IMPORTED = re.compile(r"(?P<name>[\w.]+|\*)(?:\s+as\s+(?P<alias>\w+))?")
_DOTTED = re.compile(r"(?<![\w.])[^\W\d]\w*+(?:\.[^\W\d]\w*+)*+")
_DEPTH = 5
"""Parts of a dotted name that count; no name looked for has more."""


@dataclass(frozen=True, slots=True)
class Source:
    """What can be told from a file's text."""

    references: frozenset[str]
    """Dotted names that its code uses outside import statements, heads replaced by what was imported under them."""
    strings: str
    """The text of its strings."""

    @classmethod
    def read(cls, text: str) -> Source:
        """Take a file apart."""
        strings: list[str] = []

        def blank(lexeme: re.Match[str]) -> str:
            if not lexeme[0].startswith("#"):
                strings.append(lexeme[0])
            return " "

        code = _LEXEME.sub(blank, text.replace("\\\r\n", " ").replace("\\\n", " "))
        heads, modules = _imports(code)
        used = set(_DOTTED.findall(_IMPORT.sub(" ", code)))
        return cls(frozenset(_resolved(used, heads, modules)), "\n".join(strings))

    def uses(self, *names: str) -> bool:
        """Whether the code refers to one of these dotted names, or to something below it."""
        return any(name in self.references for name in names)


def _imports(code: str) -> tuple[dict[str, str], set[str]]:
    """What each imported name stands for, and the modules of which everything was imported."""
    heads: dict[str, str] = {}
    everything: set[str] = set()
    for statement in _IMPORT.finditer(code):
        base = statement["base"]
        for name, alias in _IMPORTED.findall(statement["names"]):
            if name == "*":
                everything.add(base or "")
            elif base:
                heads[alias or name] = f"{base}.{name}"
            elif alias:
                heads[alias] = name
            else:  # `import a.b` binds `a`
                heads[name.partition(".")[0]] = name.partition(".")[0]
    return heads, everything


def _resolved(used: set[str], heads: dict[str, str], everything: set[str]) -> Iterator[str]:
    """All names that are meant, each with the names that it lies below."""
    for dotted in used:
        head, *rest = dotted.split(".", _DEPTH)[:_DEPTH]
        for base in (
            [heads[head]] if head in heads else [f"{module}.{head}" for module in list(everything)[:_DEPTH]]
        ):
            parts = [*base.split(".", _DEPTH)[:_DEPTH], *rest]
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))
