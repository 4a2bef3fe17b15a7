"""The first message to the model: the operator, how it is called, what is checked, how to reply.

The words are in `templates/<language>.md`; this module fills in what is known about the operator.
A template is plain text with `$name` or `${name}` (and `$$` for a dollar sign). The names:

    op          add.Tensor                        schema     the operator's schema
    function    add__Tensor_kernel_impl           doc        what the operator does
    returns     what the function must return     examples   arguments of some cases, and a legend
    device      where the tensors are             checks     what is compared
    timing      how speed counts
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from backend_bench.cases import Entry
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import Device, Language, Profile

BUDGET = 12_000
"""Characters of a prompt: examples, then the description, give way; the rules never do."""
EXAMPLES = 12
"""Cases that are shown, of both kinds together."""
_LINE = 240
"""Characters of one example."""

_DTYPES = {
    "b8": "bool", "bool": "bool", "u8": "uint8", "i8": "int8", "i16": "int16", "i32": "int32",
    "i64": "int64", "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
    "c32": "complex32", "c64": "complex64", "c128": "complex128",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Everything that a prompt depends on."""

    entry: Entry
    """The operator, from the suite's index."""
    language: Language
    """Language that the kernel must be written in."""
    device: Device
    """Where the tensors are."""
    profile: Profile = "strict"
    """Rules of comparison."""
    examples: int = EXAMPLES
    """At most so many cases are shown."""


def prompt(brief: Brief, *, template: str | None = None, budget: int = BUDGET) -> str:
    """The prompt's text; `template` replaces the language's own.

    Raises `UsageError` for a name that the template may not use.
    """
    text = template if template is not None else own_template(brief.language)
    doc = brief.entry.doc.strip() or "(no description; the schema says it all)"
    for shown in range(brief.examples, -1, -1):
        filled = fill(text, _facts(brief, doc, shown))
        if len(filled) <= budget:
            return filled
    room = max(0, len(doc) - (len(filled) - budget) - 1)
    return fill(text, _facts(brief, doc[:room] + "…", 0))


def own_template(language: Language) -> str:
    """The template that comes with the package."""
    return (resources.files(__package__) / "templates" / f"{language}.md").read_text(encoding="utf-8")


def read_template(path: Path) -> str:
    """A person's own template. Raises `UsageError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the prompt template {path}: {error}") from error


def fill(template: str, facts: Mapping[str, str]) -> str:
    """The template with its names filled in; `UsageError` says which name is unknown."""
    try:
        return Template(template).substitute(facts).strip() + "\n"
    except KeyError as error:
        name = str(error.args[0])
        near = difflib.get_close_matches(name, facts, n=1)
        hint = f"did you mean ${near[0]}?" if near else f"known names: {', '.join(sorted(facts))}"
        raise UsageError(f"the prompt template uses ${name}; {hint}") from error
    except ValueError as error:
        raise UsageError(f"the prompt template is malformed ({error}); write $$ for a dollar sign") from error


def _facts(brief: Brief, doc: str, shown: int) -> dict[str, str]:
    entry, op = brief.entry, Operator.parse(brief.entry.op)
    return {
        "op": str(op),
        "function": op.function,
        "schema": entry.schema or "(not known)",
        "doc": doc,
        "returns": returns(entry.schema),
        "examples": examples(entry, shown),
        "device": _device(brief),
        "checks": _checks(brief),
        "timing": _timing(brief),
    }


def returns(schema: str) -> str:
    """One sentence on what the function must return, read off the schema."""
    arguments, arrow, result = schema.rpartition("->")
    if not arrow:
        return "Return what the operator returns."
    written = re.findall(r"Tensor\(\w+!\)(?:\[\])? (\w+)", arguments)
    if written:
        names = " and ".join(f"`{name}`" for name in written)
        return (
            f"It works in place: write the result into {names} and return "
            f"{'that same tensor' if len(written) == 1 else 'those same tensors'}, not a copy."
        )
    if re.search(r"Tensor\(\w+\)", arguments):
        return f"It is a view: return `{result.strip()}` that shares the input's memory."
    return f"Return `{result.strip()}`, freshly allocated; leave every input as it was."


def examples(entry: Entry, shown: int) -> str:
    """Arguments of some cases of both kinds, spread over the suite, and a legend."""
    if not shown:
        return "(not shown)"
    timed = min(len(entry.performance), shown // 2)
    right = min(len(entry.correctness), shown - timed)
    parts = []
    for title, cases in (
        (f"Correctness, {right} of {len(entry.correctness)}", spread(entry.correctness, right)),
        (f"Performance, {timed} of {len(entry.performance)}", spread(entry.performance, timed)),
    ):
        if cases:
            lines = [case if len(case) <= _LINE else case[: _LINE - 1] + "…" for case in cases]
            parts.append("\n".join([f"# {title}", *lines]))
    if not parts:
        return "(none known)"
    return "```text\n" + "\n".join(parts) + "\n```\n" + _legend("\n".join(parts))


def spread(items: Sequence[str], count: int) -> list[str]:
    """`count` distinct items, evenly spread from the first to the last."""
    distinct = list(dict.fromkeys(items))
    if count >= len(distinct):
        return distinct
    if count <= 1:
        return distinct[:count]
    step = (len(distinct) - 1) / (count - 1)
    return [distinct[round(index * step)] for index in range(count)]


def _legend(text: str) -> str:
    """How to read the examples, with the dtypes that occur in them."""
    used = [code for code in _DTYPES if re.search(rf"\b{code}\b", text)]
    names = ", ".join(f"{code} {_DTYPES[code]}" for code in used if code != _DTYPES[code])
    legend = "`T([2, 3], f32)` is a tensor with its shape and dtype; a second list holds its strides"
    return f"{legend} ({names})." if names else f"{legend}."


def _device(brief: Brief) -> str:
    if brief.device == "cuda":
        return "All tensors are on one NVIDIA GPU (`cuda`); keep everything there, and never synchronise."
    if brief.language == "triton":
        return "There is no GPU: Triton runs in its interpreter on CPU tensors, and speed is not measured."
    return "All tensors are on the CPU."


def _checks(brief: Brief) -> str:
    return " ".join(filter(None, (_compared(brief), _refused(brief.entry))))


def _refused(entry: Entry) -> str:
    """What must raise, with an example, where that is checked."""
    if not entry.error_inputs:
        return ""
    example = entry.error_inputs[0]
    shown = f", such as `{example}`" if len(example) <= _LINE else ""
    return f"Arguments that PyTorch refuses for their shapes, dtypes or settings{shown}, must raise an exception."


def _compared(brief: Brief) -> str:
    if brief.profile == "backendbench":
        return "Values are compared with PyTorch's at a tolerance of 1e-2 for every dtype."
    return (
        "Each case is run several times on fresh, secret inputs of many magnitudes, NaN, infinities and "
        "signed zeros among them. Compared are the number of results and their shape, dtype and device; "
        "values at the dtype's own tolerance (integers, booleans and copies exactly); that NaN and "
        "infinities are in the same places; and that no input changed that the operator does not write. "
        "Inputs may be empty, have one element, broadcast, or be non-contiguous."
    )


def _timing(brief: Brief) -> str:
    if brief.device == "cpu" and brief.language == "triton":
        return "The score is the share of cases that pass."
    return (
        "Score = share of cases that pass × geometric mean of PyTorch's time over yours. If any case "
        "fails, the speed factor is at most 1: be right first. Results of timed calls are checked as well."
    )
