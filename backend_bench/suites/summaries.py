"""What an operator does and what its arguments are: torch's own docstring where there is one, else our words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch

from backend_bench.operator import Operator
from backend_bench.suites import docstrings, own_words

_SEE_MODULE = re.compile(r"[Ss]ee\s+(?:the documentation of )?(?:[\w.:`~]*\.)?([A-Z]\w+)[` ]")
_SEE_OTHER = re.compile(r"(?:In-place version of|Out-?(?:of)?-?place version of|See) ")
_ALIAS = re.compile(r"Alias (?:for|of) :func:`(?:torch\.)?(special|linalg)\.(\w+)`")


def summary(op: Operator, arguments: tuple[str, ...] = ()) -> str:
    """A few sentences on the operator that has these arguments; empty where nobody wrote any."""
    return f"{_described(op, arguments)} {own_words.ADDITIONS.get(op.base.rstrip('_'), '')}".strip()


def _described(op: Operator, arguments: tuple[str, ...]) -> str:
    functional = op.base.rstrip("_")
    if op.base in own_words.OPERATORS:
        return own_words.OPERATORS[op.base]
    text = "" if functional in own_words.OPERATORS else _from_docstring(op.base, arguments)
    if text or functional == op.base:
        return text
    told = _described(Operator(functional, op.overload), arguments)
    return f"Works in place on self. {told.replace('Returns a new tensor with', 'Gives')}".strip()


def argument_words(op: Operator, arguments: tuple[str, ...]) -> dict[str, str]:
    """What is said about each of the operator's arguments, by name; those that speak for themselves are left out."""
    base = op.base.rstrip("_")
    told: dict[str, str] = {}
    for function in (
        *_functions(own_words.RELATIVES.get(base, base)),
        getattr(torch.Tensor, f"{base}_", None),
    ):
        doc = _doc(function)
        for part in (docstrings.section(doc, arguments), doc):
            for name, text in docstrings.arguments(_named(part, arguments)).items():
                told.setdefault(name, text)
    words = {**told, **own_words.ARGUMENTS}
    return {name: words[name] for name in arguments if name in words}


def _from_docstring(base: str, arguments: tuple[str, ...]) -> str:
    for function in _functions(base):
        doc = _doc(function)
        text = docstrings.description(_named(docstrings.section(doc, arguments), arguments))
        if reference := _SEE_MODULE.search(doc):
            module = docstrings.description(_doc(getattr(torch.nn, reference[1], None)))
            text = max(text, module, key=len)
        if text and not _SEE_OTHER.match(text):
            return text
    if base.endswith("_"):
        return ""
    in_place = docstrings.description(_doc(getattr(torch.Tensor, f"{base}_", None)))
    return f"Returns a new tensor and leaves self alone. {in_place}" if in_place else ""


def _named(doc: str, arguments: tuple[str, ...]) -> str:
    """The docstring with the schema's name for its first argument."""
    if "input" in arguments or "self" not in arguments:
        return doc
    doc = re.sub(r"`[^`\n]*`", lambda code: re.sub(r"\binput\b", "self", code[0]), doc)
    doc = re.sub(r"(\\text\{+ ?)input(?=\})", r"\1self", doc)
    return re.sub(r"\binput(?=\[|\.size)|(?<=^    )input(?= \(|:)", "self", doc, flags=re.MULTILINE)


def _doc(function: object) -> str:
    """A function's docstring, or that of the function it is an alias of."""
    doc = inspect.getdoc(function) or "" if function is not None else ""
    if reference := _ALIAS.match(doc):
        room: Any = getattr(torch, reference[1])
        return inspect.getdoc(getattr(room, reference[2], None)) or doc
    return doc


def _functions(base: str) -> Iterator[object]:
    """Public functions that may describe the operator, the most telling first."""
    rooms: list[tuple[Any, str]] = [(torch, base), (torch.nn.functional, base), (torch.Tensor, base)]
    prefixes: tuple[tuple[str, Any], ...] = (
        ("linalg_", torch.linalg),
        ("special_", torch.special),
        ("fft_", torch.fft),
    )
    for prefix, room in prefixes:
        if base.startswith(prefix):
            rooms.insert(0, (room, base.removeprefix(prefix)))
    for room, name in rooms:
        if not name.startswith("_") and (function := getattr(room, name, None)) is not None:
            yield function
