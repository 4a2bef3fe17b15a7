"""Failed cases by their cause: what is wrong with them, and what sets them apart from those that passed.

Reads verdicts and adds no opinion on who is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backend_bench.dialogue import shapes
from backend_bench.verdict import CaseResult, CaseStatus

_NUMBER = re.compile(r"-?\b(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)\b", re.I)
_LIST = re.compile(r"#(?:, ?#)+,?")
_OTHER_FORM = re.compile(r"^called as (?P<args>.*?\)(?:, \{.*?\})?\)): (?=\S)", re.S)
"""The judge's words on a draw that has another form than its case."""
_TOLERANCE = re.compile(r" \(tolerance [^)]*\)")
_TIMED = "in a timed call: "
"""The judge's words on a call that was timed as well as checked."""
_VALUES = re.compile(
    r"^(?:(?P<result>[\w ]+): )?[\d,]+ of [\d,]+ elements differ\b.*expected (?P<expected>\S+), got (?P<got>\S+)$"
)


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that failed in the same way."""

    cause: str
    """What is wrong, in a few words."""
    cases: tuple[CaseResult, ...]
    """The cases, the smallest first."""

    @property
    def smallest(self) -> CaseResult:
        return self.cases[0]


def groups(cases: Sequence[CaseResult]) -> list[Group]:
    """The failed cases by cause, the most frequent first; those that were not run are left out."""
    found: dict[tuple[str, str], list[CaseResult]] = {}
    for case in cases:
        if not case.passed and case.status is not CaseStatus.NOT_RUN:
            found.setdefault((cause(case), _pattern(case)), []).append(case)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Group(words, tuple(sorted(failed, key=_size))) for (words, _), failed in ranked]


def cause(case: CaseResult) -> str:
    """What is wrong with a case, in a few words; the message says the rest."""
    status = case.status.value.replace("_", " ")
    values = _of_values(case)
    told = f"{status}: {values}" if values else status
    return f"{told}, in a form that is not listed" if spoken(case)[1] else told


def spoken(case: CaseResult) -> tuple[str, str]:
    """The message without tolerances, and the arguments it is about where they are not the case's own."""
    message = _TOLERANCE.sub("", case.message).removeprefix(_TIMED)
    match = _OTHER_FORM.match(message)
    return (message[match.end() :], match["args"]) if match else (message, "")


def _pattern(case: CaseResult) -> str:
    """The message's first line without its numbers, where it is not about values."""
    return "" if _of_values(case) else _LIST.sub("#", _NUMBER.sub("#", spoken(case)[0].split("\n", 1)[0]))


def _of_values(case: CaseResult) -> str:
    """What came in the place of what, for a case whose values were compared."""
    example = case.example
    if example is not None:
        at = (example.place[-1] if example.place else 0) - example.first
        pair = [values[at] if 0 <= at < len(values) else "" for values in (example.expected, example.got)]
        result = example.result
    elif match := _VALUES.match(spoken(case)[0]):
        pair, result = [match["expected"], match["got"]], match["result"] or "output 0"
    else:
        return ""
    expected, got = (value if value in ("nan", "inf", "-inf") else "a number" for value in pair)
    return f"wrong values in {result}" if expected == got else f"{got} in the place of {expected} in {result}"


def apart(these: Sequence[CaseResult], others: Sequence[CaseResult]) -> str:
    """What all of the first have and none of the others, in words that follow a subject; empty where nothing is."""
    if not these or not others:
        return ""
    ours, theirs = ([shapes.traits(case.args) for case in cases] for cases in (these, others))
    shared = frozenset.intersection(*ours) - frozenset().union(*theirs)
    if shared:
        return "have " + " and ".join(sorted(shared))
    least, most = (pick(shapes.elements(case.args) for case in these) for pick in (min, max))
    below, above = (pick(shapes.elements(case.args) for case in others) for pick in (min, max))
    if least > above > 1:
        return f"hold {least:,} elements or more"
    return f"hold {most:,} elements or fewer" if most < below else ""


def _size(case: CaseResult) -> tuple[bool, int, int, str, str]:
    """Order of examples: the case's own form first, then the smallest; no two that differ are equal."""
    return bool(spoken(case)[1]), shapes.elements(case.args), len(case.args), case.args, repr(case)
