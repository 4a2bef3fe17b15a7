"""What an operator does, in a few plain sentences: torch's own docstring where there is one, else our words.

Docstrings are read from the installed torch when asked for; none is stored here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import torch

from backend_bench.operator import Operator

_LONGEST = 600
"""Characters; a prompt holds one summary beside a schema and a few shapes."""

_OURS = {
    "_softmax": "Softmax of self along dim: exp(x - max) divided by its sum over that dimension.",
}
"""Operators whose name is internal, so that no public docstring describes them."""


def summary(op: Operator) -> str:
    """A few sentences on the operator; empty where nobody wrote any."""
    base = op.base
    if base in _OURS:
        return _OURS[base]
    if base.endswith("_") and (functional := summary(Operator(base.rstrip("_"), op.overload))):
        return _fitted(f"Works in place on self. {functional}")
    return _docstring(base)


def _docstring(base: str) -> str:
    for function in _public_functions(base):
        text = _plain(inspect.getdoc(function) or "")
        if text:
            return text
    return ""


def _public_functions(base: str) -> Iterator[object]:
    """Public functions that may describe the operator, the most telling first."""
    rooms: list[tuple[object, str]] = [(torch, base), (torch.nn.functional, base), (torch.Tensor, base)]
    for prefix, room in (
        ("linalg_", torch.linalg),
        ("special_", torch.special),
        ("fft_", torch.fft),
    ):
        if base.startswith(prefix):
            rooms.insert(0, (room, base.removeprefix(prefix)))
    for room, name in rooms:
        if not name.startswith("_") and (function := getattr(room, name, None)) is not None:
            yield function


# ---- from Sphinx to sentences --------------------------------------------------------------------

_SIGNATURE = re.compile(r"^[\w.]+\(.*?\)\s*(?:->.*)?$")
_SECTION = re.compile(r"^(?:Args?|Arguments|Keyword args|Keyword Arguments|Returns?|Shape|Examples?)\b.*:")
_ROLE = re.compile(r":(?:\w+:)?\w+:`~?\.?([^`<]*?)(?:\s*<[^`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`]*>`_+")


def _plain(doc: str) -> str:
    """The first paragraphs of a docstring without signature, directives and markup."""
    sentences: list[str] = []
    for paragraph in _paragraphs(doc):
        text = _unmarked(" ".join(paragraph))
        if _SECTION.match(text):
            break
        if text:
            sentences.append(text)
        if sum(map(len, sentences)) > _LONGEST:
            break
    return _fitted(" ".join(sentences))


def _paragraphs(doc: str) -> Iterator[list[str]]:
    """Runs of unindented lines; signatures, directives and indented blocks are left out."""
    paragraph: list[str] = []
    for line in [*doc.splitlines(), ""]:
        directive = line.startswith((".. ", ">>>"))
        if line.strip() and not line[0].isspace() and not directive:
            if not (_SIGNATURE.match(line) or re.fullmatch(r"[-=~]+", line)):
                paragraph.append(line.strip())
            continue
        if paragraph:
            yield paragraph
        paragraph = []


def _unmarked(text: str) -> str:
    text = _ROLE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = text.replace("``", "").replace("**", "").replace("`", "").replace("::", ":")
    text = text.replace(r"\times", "x").replace("\\ ", "")
    text = re.sub(r"\\(?:text|mathrm|operatorname|mathbb)\{([^}]*)\}", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()


def _fitted(text: str) -> str:
    """Cut at the end of a sentence, so that it is no longer than a prompt can bear."""
    if len(text) <= _LONGEST:
        return text
    cut = text.rfind(". ", 0, _LONGEST)
    return text[: cut + 1] if cut > 0 else text[: _LONGEST - 3].rsplit(" ", 1)[0] + "..."
