"""Signs of cheating that the judge can see, as evidence for a person.

Only what the judge saw itself, or a claim that nobody makes about himself without reason, decides a
verdict. Not covered: ATen's functions called past its dispatcher on a CPU.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backend_bench.grading.traits import ARITHMETIC
from backend_bench.languages import language_of
from backend_bench.own_kernels import is_foreign_kernel, is_own_kernel
from backend_bench.own_work import base_of, is_foreign, is_same_work
from backend_bench.submission import Language, Submission
from backend_bench.verdict import Evidence
from backend_bench.wire import UNHEARD, Heard, OperatorCall, printable

_ENOUGH = 3
"""Calls of a sample, none of which may have launched anything."""
_FEW, _MOST, _NAME = 3, 20, 120
"""Kernels that are named as evidence, and in a verdict, and characters of a name."""


@dataclass(frozen=True, slots=True)
class Operators:
    """The ATen operators that one call of the kernel called, says the worker."""

    called: tuple[OperatorCall, ...]
    launched: bool | None = None
    """Kernels that it launched made the outputs out of the inputs; None where nobody can tell."""
    is_recorded: bool = False
    """All operators are there; else only those that the kernel may not call."""
    is_copy: bool = False
    """The right results are inputs as they are; looked at where launches are known."""
    heard: Heard = UNHEARD


def of_submission(
    submission: Submission, calls: Sequence[Operators], *, is_timed: bool = False, are_few: bool = False
) -> list[Evidence]:
    """As `own_work`, for what a submission claims to be."""
    op, language = str(submission.op), language_of(submission)
    return own_work(op, language, calls, source=submission.source, is_timed=is_timed, are_few=are_few)


def own_work(
    op: str, language: Language, calls: Sequence[Operators], *, source: str = "", is_timed: bool = False,
    are_few: bool = False,
) -> list[Evidence]:  # fmt: skip
    """Evidence that the result is not the kernel's own work; `is_timed`: in the calls of one timed case, beside the recorded ones;
    `are_few`: a sample of the calls, in which most means little."""
    if language == "pytorch":
        return _passthrough(op, calls, is_timed)
    foreign = sorted({seen.op for call in calls for seen in call.called if is_foreign(seen.op, op)})
    if foreign:
        detail = f"a {language} kernel must compute the result itself; it called " + ", ".join(foreign)
        return [Evidence(rule="foreign_operator", detail=detail, claimed=True)]
    return _foreign_kernels(op, language, calls, source) or _no_launch(language, calls, are_few=are_few)


def _foreign_kernels(op: str, language: Language, calls: Sequence[Operators], source: str) -> list[Evidence]:
    """Kernels of the GPU that neither the file has nor torch needs to make and move memory."""
    if any(call.heard.is_deaf for call in calls):
        detail = "the kernel has switched off what tells which kernels the GPU's driver is given"
        return [Evidence(rule="foreign_kernel", detail=detail, claimed=True)]
    seen = dict.fromkeys((each.name, each.origin) for call in calls for each in call.heard.kernels)
    foreign = [each for each in seen if is_foreign_kernel(*each, op, source)]
    if not foreign:
        return []
    named = ", ".join(f"{_readable(name)} of {_place(origin, name)}" for name, origin in foreign[:_FEW])
    detail = f"a {language} kernel must compute the result itself; it had the GPU run {named}"
    return [Evidence(rule="foreign_kernel", detail=detail, claimed=True)]


def launches(calls: Sequence[Operators]) -> dict[str, int]:
    """How often kernels of its own were launched on a GPU, the most frequent first."""
    counts: Counter[str] = Counter()
    for kernel in (kernel for call in calls for kernel in call.heard.kernels):
        if kernel.launches and is_own_kernel(kernel.name, kernel.origin):
            counts[_readable(kernel.name)] += kernel.launches
    return dict(counts.most_common(_MOST))


_EVERYWHERE = frozenset({"at", "native", "c10", "std", "cuda", "TensorIteratorBase", "TensorIterator"})
"""Parts of torch's names that tell nothing."""


_LENGTH = re.compile(r"(?<!L[a-z])(?<![0-9])[0-9]+")
"""Of the part that follows; no number that is an argument itself."""


def _readable(name: str) -> str:
    """What tells of a kernel's name. Whoever says it may have made it up, and a demangler needs years for some names of this length."""
    if not name.startswith("_Z"):
        return printable(name, _NAME)
    parts: dict[str, None] = {}
    at = 0
    while (found := _LENGTH.search(name, at)) is not None:
        end = found.end() + int(found[0][:4])
        part, at = name[found.end() : end], min(end, len(name))
        if (
            len(part) > 1
            and part.isidentifier()
            and part not in _EVERYWHERE
            and not part.startswith("_GLOBAL__N")
        ):
            parts[part] = None
    return printable(" ".join(parts) or name, _NAME)


def _place(origin: str, name: str) -> str:
    if origin:
        return printable(origin, _NAME)
    if name.startswith("triton_"):
        return "torch.compile"
    return "torch" if "2at6native" in name else "somebody else"


def _no_launch(language: Language, calls: Sequence[Operators], *, are_few: bool) -> list[Evidence]:
    """In most calls the outputs were not made by launched kernels out of the inputs. Where there are others, those for which a copy is right do
    not count: that takes no kernel, and to launch one for it shows nothing."""
    others = [call for call in calls if not call.is_copy] or calls
    looked = [call.launched for call in others if call.launched is not None]
    if 2 * sum(looked) >= len(looked) or (are_few and (any(looked) or len(looked) < _ENOUGH)):
        return []
    detail = (
        f"the result was not made by the kernels of the file: in {len(looked) - sum(looked)} of {len(looked)} calls no "
        f"{language} kernel was launched that read the inputs and wrote the outputs"
    )
    return [Evidence(rule="no_launch", detail=detail, claimed=True)]


def _passthrough(op: str, calls: Sequence[Operators], is_timed: bool) -> list[Evidence]:
    """The operator under test, called on the kernel's own inputs, gave all that the kernel returned: in more than half
    of all calls, in all that were recorded, or in a quarter of the timed ones of a case, whose times they would decide. Not where
    arithmetic is called on what the kernel computed, be it the same: 1 * y."""
    recorded = [call for call in calls if call.is_recorded]
    if base_of(op) in ARITHMETIC and any(_is_on_own_values(op, call) for call in recorded):
        return []
    counted = [call for call in calls if not call.is_recorded] if is_timed else calls
    names = [name for name in (_handed_on(op, call) for call in counted) if name]
    most = len(counted) / 4 if is_timed else len(counted) / 2
    always = [name for name in (_handed_on(op, call) for call in recorded) if name]
    if len(always) == len(recorded) > 0:
        names = names or always
    elif len(names) <= most:
        return []
    return [
        Evidence(
            rule="passthrough",
            detail=f"the kernel returned what {names[0]} computed from the kernel's own inputs, be it that another function of "
            "PyTorch's called it",
            claimed=True,
        )
    ]


def _handed_on(op: str, call: Operators) -> str:
    """The operator whose result was returned; empty if there is none."""
    return next((s.op for s in call.called if is_same_work(s.op, op) and s.inputs_only and s.returned), "")


def _is_on_own_values(op: str, call: Operators) -> bool:
    return any(base_of(s.op) == base_of(op) and s.computed and s.returned for s in call.called)


FATAL = frozenset({"foreign_operator", "foreign_kernel", "no_launch", "passthrough", "forged_frame"})
"""Rules that make a verdict `cheated`. The others are for a person to weigh: what they found already
counts against the candidate in the figures."""
