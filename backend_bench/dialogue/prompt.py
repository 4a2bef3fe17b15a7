"""The first message to the model: the operator, how it is called, what is checked, how to reply.

The words of a language are in `templates/<language>.md`. This module fills in what is known about the operator. A template is plain text with `$name` or `${name}` (and `$$` for
a dollar sign). The names:

    op          add.Tensor                        schema     the operator's schema
    function    add__Tensor_kernel_impl           arguments  a line for each: type, default, what it is
    doc         what the operator does            returns    what the function must return
    device      where the tensors are             examples   arguments of some cases, and a legend
    edges       what the cases hold that is easily overlooked
    checks      what is compared                  timing     how speed counts
    allowed     torch operators that may be called
    conduct     what no kernel may do             example    a kernel of the language, for another operator
    reply       how the kernel is handed in
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from backend_bench.cases import Entry
from backend_bench.dialogue import shapes, signature
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.own_work import ALLOWED, GROUPS
from backend_bench.submission import Device, Language, Profile

BUDGET = 12_000
"""Characters of a prompt: the example kernel, then cases, then descriptions give way; the rules never do."""
EXAMPLES = 12
"""Cases that are shown, of both kinds together."""
_LINE = 240
"""Characters of one case."""
_NUMBER = re.compile(r"-?(?:\d.*|inf|nan|True|False)")
_SETTINGS = frozenset(
    """
    alpha beta min min_val max max_val value fill_value threshold other start negative_slope scale input_scale lambd weight
    keepdim count_include_pad ceil_mode align_corners descending largest invert right upper unitriangular correction
    include_self scale_grad_by_freq is_result self_is_result accumulate reduction interpolation_mode padding_mode diagonal exponent ord
    eps momentum divisor_override dtype approximate reduce rounding_mode transpose unpack_data unpack_pivots n x max_norm
    p maxnorm train training is_causal nan posinf neginf self base upscale_factor downscale_factor padding_idx dim k transposed scales scales_d scales_h scales_w
    """.split()  # noqa: SIM905  # a list of words
)
"""Arguments that the judge sets to something else in a few draws; a test holds this beside its own list."""
_LISTS = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding", "output_size", "pad"})
"""Arguments with a number for each dimension, of which the judge makes one another, but for gradients; held beside its own, too."""
_INDICES = ("index", "indices")
"""Arguments that name places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """Everything that a prompt depends on: the same brief gives the same text."""

    entry: Entry
    """The operator, from the suite's index."""
    language: Language
    """Language that the kernel must be written in."""
    device: Device
    """Where the tensors are."""
    gpu: Mapping[str, Any] | None = None
    """What is known about the GPU, as in the machine's facts; None where there is none, or nothing is known."""
    profile: Profile = "strict"
    """Rules of comparison."""
    examples: int = EXAMPLES
    """At most so many cases are shown."""
    example: tuple[Operator, str] | None = None
    """A kernel of the language, and the other operator that it is right for."""


@dataclass(frozen=True, slots=True)
class _Room:
    """How much may be said of what can give way."""

    kernel: bool
    """Whether the example kernel is shown."""
    cases: int
    """How many cases are."""
    words: bool = True
    """Whether arguments are described beyond their type."""
    doc: int | None = None
    """Characters of the description; None is all of it."""


def prompt(brief: Brief, *, template: str | None = None, budget: int = BUDGET) -> str:
    """The prompt's text, of at most `budget` characters; `template` replaces the language's own.

    Raises `UsageError` for a name that the template may not use, and for a budget that the rules alone exceed.
    """
    text = template if template is not None else own_template(brief.language)
    facts = _facts(brief)
    for room in _rooms(brief):
        filled = fill(text, facts | _fitting(brief, room))
        if len(filled) <= budget:
            return filled
    least = len(filled)
    raise UsageError(
        f"a prompt for {brief.entry.op} in {brief.language} takes {least} characters without any example, "
        f"and prompt_budget is {budget}"
    )


def _rooms(brief: Brief) -> Iterator[_Room]:
    """From all there is to say to the least."""
    yield _Room(True, brief.examples)
    for cases in range(brief.examples, -1, -1):
        yield _Room(False, cases)
    yield _Room(False, 0, words=False)
    for doc in range(len(brief.entry.doc) - 1, 0, -100):
        yield _Room(False, 0, words=False, doc=doc)
    yield _Room(False, 0, words=False, doc=0)


def own_template(language: Language) -> str:
    """The template that comes with the package."""
    return str((_templates() / f"{language}.md").read_text(encoding="utf-8"))


def _templates() -> Any:
    return resources.files(__package__) / "templates"


def read_template(path: Path) -> str:
    """A person's own template. Raises `UsageError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the prompt template {path}: {error}") from error


def fill(template: str, facts: Mapping[str, str]) -> str:
    """The template with its names filled in, and no gap where a name stood for nothing; `UsageError` says which name is unknown."""
    try:
        text = Template(template).substitute(facts)
    except KeyError as error:
        name = str(error.args[0])
        near = difflib.get_close_matches(name, facts, n=1)
        hint = f"did you mean ${near[0]}?" if near else f"known names: {', '.join(sorted(facts))}"
        raise UsageError(f"the prompt template uses ${name}; {hint}") from error
    except ValueError as error:
        raise UsageError(f"the prompt template is malformed ({error}); write $$ for a dollar sign") from error
    return re.sub(r"\n{4,}", "\n\n", text).strip() + "\n"  # three belong between functions


def _facts(brief: Brief) -> dict[str, str]:
    """What is said whatever the budget."""
    entry, op = brief.entry, Operator.parse(brief.entry.op)
    return {
        "op": str(op),
        "function": op.function,
        "schema": entry.schema or "(not known)",
        "returns": _returns(entry),
        "edges": edges(brief),
        "device": _device(brief),
        "checks": _checks(brief),
        "timing": _timing(brief),
        "allowed": allowed(op),
        "conduct": _CONDUCT,
        "reply": REPLY,
    }


def _returns(entry: Entry) -> str:
    dtypes = signature.result_dtypes(entry.results, shapes.DTYPES)
    return "\n".join(filter(None, (signature.returns(entry.schema), dtypes)))


def _fitting(brief: Brief, room: _Room) -> dict[str, str]:
    """What gives way."""
    entry = brief.entry
    doc = entry.doc.strip()
    if room.doc is not None and len(doc) > room.doc:
        doc = doc[: room.doc] + "…" if room.doc else ""
    return {
        "arguments": signature.explained(
            entry.schema, entry.argument_docs if room.words else {}, _given_as_numbers(entry)
        ),
        "doc": doc or "(no description; the schema and the name say it all)",
        "examples": examples(entry, room.cases),
        "example": _example(brief) if room.kernel else "",
    }


# ---- cases ---------------------------------------------------------------------------------------


def examples(entry: Entry, shown: int) -> str:
    """Arguments of some cases of both kinds, spread over the suite, how often models make the call, and a legend."""
    if not shown:
        return "(not shown)"
    timed = min(len(entry.performance), shown // 2)
    right = min(len(entry.correctness), shown - timed)
    parts = []
    for title, cases, calls, count in (
        ("Correctness", entry.correctness, entry.correctness_calls, right),
        ("Performance", entry.performance, entry.performance_calls, timed),
    ):
        lines = [_case(case, number) for case, number in spread(_counted(cases, calls), count)]
        if lines:
            parts.append("\n".join([f"# {title}: {len(lines)} of {len(cases)}", *lines]))
    if not parts:
        return "(none known)"
    text = "\n".join(parts)
    return f"```text\n{text}\n```\n{_legend(text, entry)}"


def _counted(cases: Sequence[str], calls: Sequence[int]) -> list[tuple[str, int]]:
    return list(dict(zip(cases, calls, strict=True)).items() if calls else dict.fromkeys(cases, 0).items())


def _case(case: str, calls: int) -> str:
    text = case if len(case) <= _LINE else case[: _LINE - 1] + "…"
    return f"{text}  # {calls:,} call{'s' if calls > 1 else ''}" if calls else text


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` distinct items, evenly spread from the first to the last."""
    distinct = list(dict.fromkeys(items))
    if count >= len(distinct):
        return distinct
    if count <= 1:
        return distinct[:count]
    step = (len(distinct) - 1) / (count - 1)
    return [distinct[round(index * step)] for index in range(count)]


def _legend(text: str, entry: Entry) -> str:
    """How to read the cases, with the dtypes that occur in them."""
    names = ", ".join(
        f"{code} {shapes.DTYPES[code]}" for code in shapes.codes([text]) if code in shapes.DTYPES
    )
    legend = (
        "Each line is `(positional arguments, keyword arguments)`. `T([2, 3], f32)` is a tensor with its shape and "
        "dtype; a second list holds its strides, in elements, where it is not contiguous"
    )
    legend += f" ({names})." if names else "."
    if entry.calls:
        legend += f" They were recorded: models of today call the operator {entry.calls:,} times in all."
    return legend


def edges(brief: Brief) -> str:
    """What the cases hold that is easily overlooked, what values come, and which calls that are not among the cases."""
    entry = brief.entry
    cases = [*dict.fromkeys((*entry.correctness, *entry.performance))]
    parts = [_held(entry, cases)]
    if brief.profile == "strict":
        parts += [_broadcasting(entry), _values(entry, set(shapes.codes(cases))), _other_forms(entry)]
    return "\n".join(filter(None, parts))


def _held(entry: Entry, cases: Sequence[str]) -> str:
    """How many cases have what; what all of them have can be seen in any."""
    held = Counter(trait for case in cases for trait in shapes.traits(case))
    held["a number where the schema says tensor"] = sum(_holds_a_number(entry, case) for case in cases)
    told = {
        trait: count
        for trait, count in held.items()
        if 0 < count < len(cases) or (_is_dtype(trait) and count)
    }
    ranked = sorted(told.items(), key=lambda item: (-item[1], item[0]))
    counts = "; ".join(f"{count} with {trait}" for trait, count in ranked)
    return f"Of {len(cases)} different cases: {counts}." if counts else ""


def _is_dtype(trait: str) -> bool:
    return trait.removesuffix(" tensors") in shapes.DTYPES.values()


def _holds_a_number(entry: Entry, case: str) -> bool:
    return bool(_numbers_for_tensors(entry, case))


def _numbers_for_tensors(entry: Entry, case: str) -> set[str]:
    """Arguments that the schema calls tensors, and this case gives as numbers."""
    given = zip(signature.arguments(entry.schema), signature.positional(case), strict=False)
    return {
        argument.name for argument, text in given if argument.type == "Tensor" and _NUMBER.fullmatch(text)
    }


def _given_as_numbers(entry: Entry) -> set[str]:
    cases = (*entry.correctness, *entry.performance)
    return set().union(*(_numbers_for_tensors(entry, case) for case in cases))


def _broadcasting(entry: Entry) -> str:
    if "pointwise" not in entry.tags or len(_tensors(entry)) < 2:
        return ""
    return (
        "Inputs are broadcast to a common shape, and dtypes promoted as PyTorch does it (`torch.result_type`: a tensor "
        "without dimensions or a number raises the dtype only where it is of a higher kind: bool, integer, floating)."
    )


def _values(entry: Entry, codes: set[str]) -> str:
    told = []
    if codes & {"f16", "bf16", "f32", "f64"}:
        told.append(
            "floating values are of both signs and of scales from 1/1000 to 30 and more, where the operator is defined "
            "there, and some draws hold NaN, infinities, ±0, halves or the dtype's extremes, where PyTorch's answer is clear"
        )
    if codes & {"i8", "i16", "i32", "i64", "u8"} and "pointwise" in entry.tags:
        told.append("integers may be negative, and the dtype's extremes where that cannot overflow")
    if any(argument.name in _INDICES for argument in signature.arguments(entry.schema)):
        told.append("an index may occur twice")
    return f"Of the values: {'; '.join(told)}." if told else ""


def _other_forms(entry: Entry) -> str:
    """The forms that the judge gives a few draws; internal operators trust their caller with the settings."""
    forms = ["other strides", "up to 131,072 elements"]
    if "pointwise" in entry.tags and len(_tensors(entry)) > 1:
        forms.append("an input of one column that is broadcast")
    if "pointwise" in entry.tags:
        forms.append("no dimensions, or six and more")
    elif _works_along(entry):
        forms += [
            "another dimension in the place of the one that it works along, or the same one counted from the end",
            "a further dimension ahead of the others",
        ]
    arguments = signature.arguments(entry.schema)
    settings = [
        f"`{argument.name}`"
        for argument in arguments
        if argument.name in _SETTINGS and "Tensor" not in argument.type
    ]
    is_gradient = "backward" in entry.op
    uneven = [f"`{each.name}`" for each in arguments if each.name in _LISTS and not is_gradient]
    if uneven:
        forms += [
            f"{' or '.join(uneven)} that is not the same for all dimensions",
            "an image that is not square",
        ]
    if any(each.name == "output_mask" for each in arguments):
        forms.append("one gradient fewer asked for")
    is_attention = "attention" in entry.op and not is_gradient
    if settings and (is_attention or not entry.op.startswith("_")):
        forms.append(f"another value of {' or '.join(settings)}")
    return (
        f"Besides, a few calls have a form that is not listed, where the operator has it: {', '.join(forms)}."
    )


def _works_along(entry: Entry) -> bool:
    return any(argument.name == "dim" for argument in signature.arguments(entry.schema))


def _tensors(entry: Entry) -> list[signature.Argument]:
    return [each for each in signature.arguments(entry.schema) if each.type.startswith("Tensor")]


# ---- device, checks, rules -----------------------------------------------------------------------


def _device(brief: Brief) -> str:
    if brief.device == "cuda":
        named = f"\n{hardware(brief.gpu)}" if brief.gpu else ""
        return f"All tensors are on one NVIDIA GPU (`cuda`); keep everything there, and never synchronise.{named}"
    if brief.language == "triton":
        return "There is no GPU: Triton runs in its interpreter on CPU tensors, and speed is not measured."
    return "All tensors are on the CPU."


def hardware(gpu: Mapping[str, Any]) -> str:
    """The GPU in a sentence, from the facts that there are."""
    parts = (
        ("capability", "compute capability {}", 1),
        ("multiprocessors", "{} SMs", 1),
        ("bandwidth_gb_per_s", "{:,.0f} GB/s between memory and SMs (nominal)", 1),
        ("memory_bytes", "{:.0f} GiB of memory", 1 << 30),
        ("l2_bytes", "{:.0f} MiB of L2 cache", 1 << 20),
        ("shared_memory_per_block_bytes", "{:.0f} KiB of shared memory for a block", 1 << 10),
        ("registers_per_multiprocessor", "{:,} registers in an SM", 1),
    )
    known = [
        words.format(gpu[name] / unit if unit > 1 else gpu[name])
        for name, words, unit in parts
        if gpu.get(name)
    ]
    return f"It is an {gpu.get('name', 'unknown GPU')}: {', '.join(known)}."


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
        "Each case is run several times, in shuffled order, on fresh and secret values. Compared are the number of "
        "results and their shape, dtype and device; values, as closely as the dtype allows (integers, booleans and "
        "copies exactly; indices by what they select, so a tie is no error), so sum in float32 where the dtype is "
        "shorter; that NaN and infinities are in the same places; that no input changed that the operator does not "
        "write; and that results share memory with inputs only where the schema says so."
    )


def _timing(brief: Brief) -> str:
    if brief.device == "cpu" and brief.language == "triton":
        return "The score is the share of cases that pass."
    if not brief.entry.performance:
        return "The score is the share of cases that pass; this suite times nothing."
    return (
        "Score = share of cases that pass × geometric mean of PyTorch's time over yours, in the performance cases. If any "
        "case fails, the speed factor is at most 1: be right first. Results of timed calls are checked as well."
    )


REPLY = (
    "One complete Python file with all its imports in a single ```python block. You may think before it, briefly; only the "
    "block is run."
)
"""How a kernel is handed in by a model that has no shell."""
KERNEL_FILE = "kernel.py"
"""Where a model that has a shell leaves its kernel, in its working directory."""


def for_shell(text: str, *, drafts: int = 0) -> str:
    """The prompt for a model that has a shell, and may have so many drafts judged; `REPLY` gives way to it."""
    how = (
        f"You have a shell in a working directory of your own. Leave one complete Python file with all its imports there, as "
        f"`{KERNEL_FILE}`; what it holds when you end your turn is judged. Nothing else in the directory is looked at, and the "
        "kernel is judged elsewhere: it can read none of your other files."
    )
    if drafts:
        how += f" The tool `kernel_grade` judges a draft, {drafts} time{'s' if drafts > 1 else ''} at most; drafts earn nothing."
    return text.replace(REPLY, how) if REPLY in text else f"{text.rstrip()}\n\n{how}\n"


_CONDUCT = (
    "Do not patch or wrap anything, keep results between calls, use other streams or threads, read files, start processes, "
    "use the network or print. Such a kernel scores 0."
)


_UNSPOKEN = ("_", "lift", "sym_")
"""Operators that nobody calls himself: PyTorch does, on the way to others."""


def allowed(op: Operator) -> str:
    """The torch operators that a kernel of a kernel language may call, a line for each kind."""
    lines = [
        f"  - {kind}: {', '.join(f'`{name}`' for name in names if not name.startswith(_UNSPOKEN))}"
        for kind, names in GROUPS.items()
    ]
    base = op.base.rstrip("_")
    if {base, f"{base}_"} & ALLOWED:
        lines.append(f"  - but not `{base}`, which is the operator under test, nor a form of it")
    return "\n".join(lines)


def _example(brief: Brief) -> str:
    if brief.example is None:
        return ""
    shown, code = brief.example
    return f"## A kernel of another operator\n\nThis one is right for `{shown}`:\n\n```python\n{code.strip()}\n```"
