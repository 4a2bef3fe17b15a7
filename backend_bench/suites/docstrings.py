"""From torch's docstrings, written for Sphinx, to plain sentences: what is done, and what each argument is.

Docstrings are read from the installed torch when asked for; none is stored here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

_LONGEST = 900
"""Characters of a description; a prompt holds it beside a schema and a few shapes."""
_ARGUMENT = 160
"""Characters on one argument."""
_LINES = 4
"""Lines of a code block that a reader still takes in at a glance."""
_BACKSLASHES = 24
"""TeX commands of a formula, likewise."""

_OVERLOAD = re.compile(r"^\.\. function:: (.*)$", re.MULTILINE)
_SIGNATURE = re.compile(r"^[\w.]+\(.*?\)\s*(?:->.*)?$")
_SECTION = re.compile(
    r"^(?:Args?|Arguments|Keyword args|Keyword Arguments|Returns?|Shape|Examples?|Notes?)\b.*:"
)
_ARGUMENTS = re.compile(r"^(?:Args?|Arguments|Keyword args|Keyword arguments)\s*:+\s*$", re.I)
_NAMED = re.compile(r"^ {1,8}(?P<name>\w+)\s*(?:\((?P<type>.*?)\))?\s*:\s+(?P<text>\S.*)$")
_NOISE = re.compile(
    r"autograd|backward pass|gradient|nondeterminis|ROCm|TensorFloat|sparse|\bout is provided|layout"
    r"|This module|module is often|\bSee \b|\bsee [A-Z:]|CUDA|best understood|in beta|may change|float64|documentation"
    r"|out-of-place|in-place version|namedtuple of \(values|as its input|type-promotion|Can be a |\bNPUs?\b|harder to describe"
    r"|in all other cases|inverse operation|SciPy|This is the (?:second|reverse)|[Mm]ethod described in|smooth approximation|previous version",
    re.I,
)
"""Sentences that tell a kernel's author nothing."""
_EMPTY_WORDS = re.compile(
    r"(?:the |an? )?(?:first |second )?(?:input|output|other|argument|multiplier)?(?: ?tensor)?(?: or (?:number|scalar))?",
    re.I,
)
"""What says no more than the argument's name and type."""
_DEFAULT = re.compile(r"\s*\bDefaults?(?: ?:| to\b| (?:True|False|None|\d)\b)")
_ROLE = re.compile(r":(?:\w+:)?\w+:`~?\.?([^`<]*?)(?:\s*<[^`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`]*>`_+")
_TEX = (
    (re.compile(r"\\(?:text|mathrm|operatorname|mathbb)\{([^}]*)\}"), r"\1"),
    (re.compile(r"([_^])\{(\w+)\}"), r"\1\2"),
    (re.compile(r"([_^])\{([^{}]*)\}"), r"\1(\2)"),
    (re.compile(r"\\begin\{\w+\}|\\left\\?[{]?"), ""),
    (re.compile(r"\\end\{\w+\}|\\right\b"), ""),
    (re.compile(r"\\\\"), ";"),
    (re.compile(r"\\sqrt\{([^{}]*)\}"), r"sqrt(\1)"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\bar\{(\w)\}"), r"mean(\1)"),
    (re.compile(r"\\[lc]?dots\b"), "..."),
    (re.compile(r"\\times"), "x"),
    (re.compile(r"\\cdot\b"), "*"),
    (re.compile(r"\\neq?\b"), "!="),
    (re.compile(r"\\geq?\b"), ">="),
    (re.compile(r"\\leq?\b"), "<="),
    (re.compile(r"\\[,;!]|\\q?quad|&"), " "),
    (re.compile(r"\\ "), ""),
    (re.compile(r"[\\{}]|(?<=\w)_(?=[. ]|$)|~"), ""),
)
"""TeX to what a person would type, in this order."""


def section(doc: str, arguments: tuple[str, ...]) -> str:
    """Of a docstring that describes several overloads, the part on the one with these arguments."""
    starts = [0, *(match.start() for match in _OVERLOAD.finditer(doc)), len(doc)]
    parts = [doc[start:end] for start, end in itertools.pairwise(starts)]
    return max(parts, key=lambda part: _likeness(part, arguments))


def description(doc: str) -> str:
    """The first paragraphs without signature, directives, markup and asides; short formulas and code stay."""
    sentences: list[str] = []
    for paragraph in _paragraphs(doc):
        if _SECTION.match(paragraph) or sum(map(len, sentences)) > _LONGEST:
            break
        sentences += [one for one in _sentences(paragraph) if not _NOISE.search(one)]
    text = " ".join(sentences)
    return _fitted(re.sub(r"(?:^|(?<=[.:] ))[^.`]*:$", "", text).strip(), _LONGEST)


def arguments(doc: str) -> dict[str, str]:
    """What the docstring says about each argument, by name; those of which it says nothing are left out."""
    found: dict[str, list[str]] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if line.strip() and not line[:1].isspace():
            inside, name = _ARGUMENTS.match(line) is not None, ""
        elif inside and (entry := _NAMED.match(line)) is not None and _indent(line) <= 8:
            name = entry["name"]
            found.setdefault(name, [entry["text"]])
        elif inside and name and line.strip() and not line.strip().startswith(".."):
            found[name].append(line.strip())
    told = {name: _words(" ".join(lines)) for name, lines in found.items()}
    return {name: text for name, text in told.items() if text}


def plain(text: str) -> str:
    """One line without markup."""
    text = _ROLE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = text.replace(":math:", "").replace("``", "").replace("**", "").replace("`", "").replace("::", ":")
    if "\\" in text:
        for tex, typed in _TEX:
            text = tex.sub(typed, text)
    return re.sub(r"\s+([.,])(?=\s|$)", r"\1", re.sub(r"\s+", " ", text)).strip()


def _likeness(part: str, names: tuple[str, ...]) -> int:
    """How many of the arguments the part's signature has, less those that it has beside them."""
    head = next((line for line in part.splitlines() if line.strip()), "").removeprefix(".. function:: ")
    signature = re.search(r"\((.*)\)", head)
    given = set(re.findall(r"(\w+)(?=\s*[,=)*]|$)", signature[1])) if signature else set()
    given = {"self" if name == "input" else name for name in given} & {*names, "dim", "other", "self"}
    return 2 * len(given & set(names)) - len(given - set(names))


def _paragraphs(doc: str) -> Iterator[str]:
    """Unindented paragraphs, short formulas and short code; signatures, other directives and their text are left out."""
    lines = iter([*doc.splitlines(), "", "end"])
    paragraph: list[str] = []
    block: list[str] | None = None
    formula = False
    for line in lines:
        indented = line[:1].isspace()
        if block is not None and (indented or not line.strip()):
            block += [line.strip()] if line.strip() else []
            continue
        if block is not None:
            if told := _block(block, formula):
                yield told
            block = None
        if line.strip() and not indented and not line.startswith((".. ", ">>>")):
            if not (_SIGNATURE.match(line) or re.fullmatch(r"[-=~]+", line)):
                paragraph.append(line.strip())
            continue
        if paragraph:
            yield plain(" ".join(paragraph))
            block, formula = ([] if paragraph[-1].endswith("::") else None), False
        paragraph = []
        if line.startswith(".. math::"):
            rest = line.removeprefix(".. math::").strip()
            block, formula = ([rest] if rest else []), True


def _block(lines: list[str], formula: bool) -> str:
    """A formula or some lines of code, where they are short enough."""
    if formula:
        text = " ".join(lines)
        return plain(text).rstrip(" ;.,") + "." if lines and text.count("\\") <= _BACKSLASHES else ""
    if not lines or len(lines) > _LINES or any(line.startswith(">>>") for line in lines):
        return ""
    return "; ".join(f"`{line}`" for line in lines) + "."


def _sentences(paragraph: str) -> list[str]:
    return re.split(r"(?<=[.;]) (?=[A-Za-z`])", paragraph)


def _words(text: str) -> str:
    """The first sentences on an argument; nothing where they only name it."""
    text = _DEFAULT.split(plain(text))[0].strip(" ,;")
    kept = " ".join(one for one in _sentences(text) if not _NOISE.search(one)).rstrip(".")
    if _EMPTY_WORDS.fullmatch(kept):
        return ""
    return _fitted(kept, _ARGUMENT)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _fitted(text: str, longest: int) -> str:
    """Cut at the end of a sentence."""
    if len(text) <= longest:
        return text
    cut = text.rfind(". ", 0, longest)
    return text[: cut + 1] if cut > longest // 3 else text[: longest - 3].rsplit(" ", 1)[0] + "..."
