"""From a model's reply to a kernel file's text, or to one sentence on what was missing.

It never runs the code and does not say whether it is any good. The rules, in order:

1. `<think>` sections (also `<thinking>`, `<reasoning>`) are dropped: a closed one with its tags, an
   unclosed one with all that follows, and everything before a closing tag that was never opened.
2. Fences are three or more backticks or tildes, at any indentation, also in a list or a quote. A fence
   closes at the same character, at least as long, with no word after it. A fence with a word opens
   nothing inside a block. A block of Markdown is read for the blocks within.
3. Where the text up to the first closing fence is not Python and up to a later one is (a docstring
   that shows a fence), the longer text is the block.
4. Of several blocks: the last one tagged python, py, python3 or triton that defines the function;
   else the last of any tag that defines it; else the last tagged as Python; else the last of any tag.
5. A block that never closes counts if it is Python; otherwise the reply was cut off, and says so.
6. With no block at all, a whole reply that is Python and defines the function is the code.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

REPLY_LIMIT = 1 << 20
"""Characters of a reply that are read at all; a model's context is far below it."""
CODE_LIMIT = 128 << 10
"""Characters of a kernel; the longest honest ones have a tenth of it."""

_THINK = re.compile(
    r"^[ \t]*<(?P<open>think|thinking|reasoning)>|</(?:think|thinking|reasoning)>", re.M | re.I
)
_FENCE = re.compile(
    r"^(?P<lead>[ \t]*(?:(?:>|[-*+]|\d{1,3}[.)])[ \t]+)*)(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<tag>[^`]*)$"
)
"""Takes no character back that it has taken: a reply may be made so that this takes hours."""
_PYTHON = frozenset({"python", "py", "python3", "triton"})
_MARKDOWN = frozenset({"markdown", "md"})
_NESTED = 4
"""Blocks of Markdown within each other that are read for the blocks within; more is no answer of anybody's."""
_EXTENSIONS = 4
"""Later closing fences that are tried for a block that is not Python as it stands."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply came to: code, or what was missing."""

    code: str | None
    """The kernel file's text, ending in a newline; None when there is none."""
    note: str
    """With code: which block was taken, where there was a choice; else what was missing."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    tag: str
    """First word after the fence, in lower case; empty where there is none."""
    text: str
    """What stands between the fences, without the fence's indentation."""
    closed: bool
    """False where the reply ends first."""


def read_reply(text: str, function: str) -> Reply:
    """Find the kernel that defines `function` in a model's reply."""
    if len(text) > REPLY_LIMIT:
        return Reply(None, f"Your reply is longer than {REPLY_LIMIT:,} characters; it was not read.")
    text = text.encode(errors="replace").decode()  # half a character cannot be stored or sent on
    said = drop_thinking(text.replace("\r\n", "\n").replace("\r", "\n"))
    blocks = [block for block in fenced_blocks(said) if block.text.strip()]
    whole = [block for block in blocks if block.closed or is_python(block.text)]
    if whole:
        return _fitting(*_pick(whole, function))
    if blocks:
        return Reply(
            None,
            "Your code block was never closed and is not complete Python: the reply was probably "
            "cut off at the length limit. Send the whole file again, and keep it shorter.",
        )
    if _defines(said, function) and is_python(said):
        return _fitting(said, "")
    return Reply(None, _missing(text, said, function))


def drop_thinking(text: str) -> str:
    """The text without the sections in which a model thinks aloud."""
    kept, start, inside = [], 0, False
    for tag in _THINK.finditer(text):
        if tag["open"] and not inside:
            kept.append(text[start : tag.start()])
            inside = True
        elif not tag["open"]:
            if not inside:
                kept.clear()
            start, inside = tag.end(), False
    if not inside:
        kept.append(text[start:])
    return "".join(kept)


def fenced_blocks(text: str, *, depth: int = 0) -> Iterator[Block]:
    """All fenced blocks, in order; those within a block of Markdown instead of it. `depth` counts such blocks around."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        at += 1
        if opening is None:
            continue
        ends = _closings(lines, at, opening["fence"])
        words = opening["tag"].split()
        tag = words[0].strip("{}.").lower() if words else ""
        end = _end(lines, at, ends, opening["lead"]) if tag not in _MARKDOWN else (ends or [len(lines)])[-1]
        block = Block(tag, _inner(lines[at:end], opening["lead"]), closed=bool(ends))
        if tag in _MARKDOWN and depth < _NESTED:
            yield from fenced_blocks(block.text, depth=depth + 1)
        else:
            yield block
        at = end + 1


def is_python(text: str) -> bool:
    """Whether the text parses as Python; nothing is run."""
    if len(text) > CODE_LIMIT:
        return False
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _closings(lines: list[str], start: int, fence: str) -> list[int]:
    """Lines that may close the fence: the first, and a few later ones before the next opening."""
    found: list[int] = []
    for at in range(start, len(lines)):
        match = _FENCE.match(lines[at])
        if match is None or match["fence"][0] != fence[0] or len(match["fence"]) < len(fence):
            continue
        if not match["tag"].strip():
            found.append(at)
        if len(found) > _EXTENSIONS:
            break
    return found


def _end(lines: list[str], start: int, ends: list[int], lead: str) -> int:
    """The closing line that makes the block Python, else the first one, else the end of the text."""
    if not ends:
        return len(lines)
    if len(ends) > 1 and not is_python(_inner(lines[start : ends[0]], lead)):
        for end in ends[1:]:
            if is_python(_inner(lines[start:end], lead)):
                return end
    return ends[0]


def _inner(lines: list[str], lead: str) -> str:
    """The lines of a block without its fence's indentation, or a quote's marks."""
    if ">" in lead:
        lines = [re.sub(r"^[ \t]*>[ \t]?", "", line) for line in lines]
    first = next((line for line in lines if line.strip()), "")
    text = "\n".join(lines)
    return textwrap.dedent(text) if first[:1] in (" ", "\t") else text


def _pick(blocks: list[Block], function: str) -> tuple[str, str]:
    """The block that is meant, and a note where there was a choice."""
    python = [block for block in blocks if block.tag in _PYTHON]
    choices = (
        ([block for block in python if _defines(block.text, function)], f"the last that defines {function}"),
        ([block for block in blocks if _defines(block.text, function)], f"the last that defines {function}"),
        (python, f"the last one in Python; none defines {function}"),
        (blocks, f"the last one; none defines {function}"),
    )
    chosen, how = next((found[-1], how) for found, how in choices if found)
    if len(blocks) == 1:
        return chosen.text, ""
    return chosen.text, f"Your reply held {len(blocks)} code blocks; this is about {how}."


def _fitting(code: str, note: str) -> Reply:
    if len(code) > CODE_LIMIT:
        return Reply(None, f"Your kernel is longer than {CODE_LIMIT:,} characters; it was not run.")
    return Reply(code.strip("\n") + "\n", note)


def _defines(code: str, function: str) -> bool:
    """Whether the text names the function at its left margin: `def f(`, `f = …`, `import … as f`."""
    name = re.escape(function)
    pattern = rf"^(?:(?:async[ \t]+)?def[ \t]+{name}[ \t]*\(|{name}[ \t]*[=:]|from .* as {name}\b)"
    return re.search(pattern, code, re.M) is not None


def _missing(text: str, said: str, function: str) -> str:
    ask = f"Send the whole file in one ```python block that defines `{function}`."
    if not text.strip():
        return f"Your reply was empty. {ask}"
    if not said.strip():
        return f"Your reply held only thinking and no answer. {ask}"
    return f"Your reply held no code block. {ask}"
