"""What the model is told before its next turn: what failed, why, how fast it was, and what must stay as it is.

Bounded; the same turn always gives the same text, whatever the order of its cases. No seed is told, no tolerance (only
the order of magnitude by which it was missed), and no value of a draw beyond the one example of each cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend_bench.dialogue import causes, complaints
from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Example, Status, Tally, Verdict

BUDGET = 6000
"""Characters of one feedback: about 1,500 tokens, so that ten turns fit any context."""
_GROUPS = 6
"""Causes that are told apart; a model mends the first few."""
_SPEEDS = 12
"""Cases whose speed is listed, slowest first."""
_SLOW = 0.9
"""A case that reaches less than this share of the median speed-up is slow."""
_SAME = 0.97
"""Of two right kernels, the one that earns more than this share of the other is no worse: times are noisy."""
_ENOUGH = 4
"""Fewer timed cases have nothing in common."""
_ARGS = 300
"""Characters of a case's arguments."""

_HEADLINE = {
    Status.OK: "Every test passed.",
    Status.WRONG: "Some tests failed.",
    Status.COMPILE_ERROR: "The kernel could not be loaded or compiled.",
    Status.CRASHED: "The kernel crashed its process.",
    Status.TIMED_OUT: "The kernel did not finish in time.",
    Status.CHEATED: "The kernel broke the rules; it scores 0.",
    Status.NO_CASES: "There are no tests for this operator.",
    Status.ERROR: "The judge failed; this is not your kernel's fault.",
}
_ASKED = {
    "foreign_operator": "compute the result inside your own kernels; of PyTorch only allocation, views, copies and casts may be used",
    "foreign_kernel": "compute the result inside your own kernels; neither PyTorch's kernels nor a vendor's library may run on the GPU",
    "no_launch": "launch a kernel of this file in every call, which reads the inputs and writes the outputs",
    "passthrough": "compute the result from other operators; the operator itself must not be called on the inputs",
    "precomputed": "compute in each call, from the arguments of that call",
    "forged_frame": "leave the process's files, descriptors and standard streams alone; only compute and return",
}
"""What a kernel that broke a rule has to do instead."""
_FOR_PEOPLE = "unstable times"
"""Beginning of a note that asks for a quieter machine, which is not the model's to give."""
_SEED = re.compile(r"\bseed\b\W{0,3}\d+", re.I)


_NONE = Tally(passed=0, total=0)


@dataclass(frozen=True, slots=True)
class Best:
    """The best turn so far."""

    turn: int
    """Counted from 1."""
    reward: float
    """What it earned."""
    correctness: Tally = _NONE
    """Its correctness cases."""
    performance: Tally = _NONE
    """Its performance cases."""
    performance_score: float | None = None
    """Its speed-up; None where nothing was timed."""


def feedback(
    info: FeedbackInfo,
    *,
    best: Best | None = None,
    note: str = "",
    shell: bool = False,
    budget: int = BUDGET,
) -> str:
    """What to tell the model; never longer than `budget` characters.

    `best` is the best earlier turn, and `note` is what the reply's reader had to say. With `shell` the model has its
    kernel in a file, and is not asked to send it.
    """
    verdict = info.verdict
    sections = [
        _headline(verdict),
        _worse(verdict, best),
        note,
        _broken(info),
        *_evidence(verdict),
        *_failures(info),
        _kept(verdict),
        *_speeds(verdict),
        *(f"Note: {text}" for text in verdict.notes if not text.startswith(_FOR_PEOPLE)),
        _request(verdict, shell),
    ]
    return fit([_SEED.sub("seed withheld", section) for section in sections if section], budget)


def no_code(note: str, *, budget: int = BUDGET) -> str:
    """What to tell a model whose reply held no kernel."""
    return fit([note, "That cost a turn: nothing was run."], budget)


def fit(sections: Sequence[str], budget: int) -> str:
    """The sections in order, the first and the last always; the middle is cut to `budget`, at the end of a line."""
    *middle, last = [section.strip() for section in sections if section.strip()] or [""]
    room = budget - len(last) - 2
    kept: list[str] = []
    for section in middle:
        left = room - sum(len(text) + 2 for text in kept)
        if left <= 0:
            break
        kept.append(_cut(section, left))
    return "\n\n".join([*(text for text in kept if text), last])[: max(budget, 0)]


def _cut(text: str, limit: int) -> str:
    """Whole lines where the first fits, and a block of code closed again."""
    if len(text) <= limit:
        return text
    end = "\n…" if text.count("```", 0, limit) % 2 == 0 else "\n…\n```"
    at = text.rfind("\n", 0, max(limit - len(end), 0))
    return text[:at] + end if at > 0 else _shorten(text, limit)


# ---- the whole -----------------------------------------------------------------------------------


def _headline(verdict: Verdict) -> str:
    lines = [_HEADLINE[verdict.status]]
    if told := _tallies(verdict.correctness, verdict.performance):
        lines.append(f"{told}.")
    if verdict.reward is not None:
        lines.append(f"Score of this turn: {verdict.reward:.3g}.")
    return " ".join(lines)


def _tallies(correctness: Tally, performance: Tally) -> str:
    return ", ".join(
        f"{tally.passed} of {tally.total} {kind} cases passed"
        for tally, kind in ((correctness, "correctness"), (performance, "performance"))
        if tally.total
    )


def _worse(verdict: Verdict, best: Best | None) -> str:
    """That an earlier turn was better, and what it came to."""
    reward = verdict.reward or 0.0
    if best is None or reward >= best.reward * (_SAME if verdict.status is Status.OK else 1):
        return ""
    facts = [f"score {best.reward:.3g}", _tallies(best.correctness, best.performance)]
    if best.performance_score is not None and best.performance.total:
        facts.append(f"speed {best.performance_score:.3g}× PyTorch's")
    return (
        f"This is worse than your turn {best.turn}, the best so far ({'; '.join(filter(None, facts))}). "
        "Start again from that kernel unless you know what to mend here."
    )


def _broken(info: FeedbackInfo) -> str:
    """The verdict's own message; not where the cases or the evidence tell it."""
    verdict = info.verdict
    if info.compilation_error is not None:
        return f"```text\n{info.compilation_error}\n```"
    said = [case.message for case in verdict.cases if case.message and not case.passed]
    said += [sign.detail for sign in verdict.evidence]
    if not verdict.message or any(text in verdict.message for text in said):
        return ""
    text = complaints.trimmed(verdict.message, info.kernel_code)
    return f"```text\n{text}\n```" if "\n" in text else text


def _evidence(verdict: Verdict) -> Iterator[str]:
    """What broke the rules; signs that decide nothing are for people to weigh."""
    if verdict.evidence and verdict.status is Status.CHEATED:
        lines = dict.fromkeys(f"- {sign.rule}: {_shorten(sign.detail, 400)}" for sign in verdict.evidence)
        yield "Evidence:\n" + "\n".join(lines)
        asked = dict.fromkeys(_ASKED[sign.rule] for sign in verdict.evidence if sign.rule in _ASKED)
        if asked:
            yield "Instead: " + "; ".join(asked) + "."


def _request(verdict: Verdict, shell: bool) -> str:
    send = "change the file" if shell else "send the whole file again in one ```python block"
    if verdict.status is not Status.OK:
        return f"Mend it and {send}."
    if any(case.kind is CaseKind.PERFORMANCE for case in verdict.cases):
        return f"Make it faster, keep it right, and {send}."
    return f"Improve it if you can, and {send}."


# ---- what failed, and what did not ---------------------------------------------------------------


def _failures(info: FeedbackInfo) -> Iterator[str]:
    """Failed cases by cause, the most frequent first, each with its smallest example."""
    cases = info.verdict.cases
    found = causes.groups(cases) if info.compilation_error is None else []
    passed = [case for case in cases if case.passed]
    for number, group in enumerate(found[:_GROUPS]):
        told = _failure(group, passed, info.kernel_code)
        yield f"What failed:\n{told}" if number == 0 else told
    if len(found) > _GROUPS:
        rest = sum(len(group.cases) for group in found[_GROUPS:])
        yield f"- and {rest} more, in {len(found) - _GROUPS} other ways"
    skipped = sum(case.status is CaseStatus.NOT_RUN for case in cases)
    if skipped and info.compilation_error is None:
        yield f"{skipped} case{'s were' if skipped > 1 else ' was'} not run after that, and failed with it."


def _failure(group: causes.Group, passed: Sequence[CaseResult], code: str) -> str:
    case = group.smallest
    message, form = causes.spoken(case)
    timed = sum(one.kind is CaseKind.PERFORMANCE for one in group.cases)
    when = f" ({timed} of them performance cases)" if timed else ""
    where = f"`{_shorten(form or case.args, _ARGS)}`" + (
        f" (a form of `{_shorten(case.args, 120)}`)" if form else ""
    )
    lines = [f"- {len(group.cases)} × {group.cause}{when}", f"  smallest: {where}"]
    if case.example is not None:
        lines += _values(case.example)
        lines += [f"  largest errors of these cases: {told}" for told in [_errors(group.cases)] if told]
    else:
        lines += ["  " + line for line in complaints.trimmed(_shorten(message, 1500), code).split("\n")]
    others = [f"`{_shorten(args, 100)}`" for args in dict.fromkeys(one.args for one in group.cases[1:4])]
    lines += [f"  also: {', '.join(others)}"] if others else []
    if told := causes.apart(group.cases, passed):
        lines.append(f"  All of these {told}, and none that passed does.")
    return "\n".join(lines)


def _values(example: Example) -> list[str]:
    """A little table around the worst element."""
    place = list(example.place)
    start = f"{[*place[:-1], example.first]}" if place else "[]"
    worst = f", the worst at {place}" if place else ""
    lines = [f"  {example.wrong:,} of {example.total:,} elements of {example.result} are wrong{worst}"]
    lines += [f"    {text}" for text in example.inputs]
    lines.append(f"    expected, from {start}: {', '.join(example.expected)}")
    lines.append(f"    got,      from {start}: {', '.join(example.got)}")
    if example.excess is not None:
        lines.append(f"  the worst error is {_times(example.excess)} what is allowed")
    return lines


def _times(excess: float) -> str:
    """An order of magnitude: enough to tell a rounding from a mistake, too little to aim at."""
    for bound, words in ((10, "up to 10 times"), (100, "10 to 100 times"), (1000, "100 to 1,000 times")):
        if excess <= bound:
            return words
    return "more than 1,000 times"


def _errors(cases: Sequence[CaseResult]) -> str:
    pairs = (
        ("absolute", [case.max_abs_error for case in cases if case.max_abs_error is not None]),
        ("relative", [case.max_rel_error for case in cases if case.max_rel_error is not None]),
    )
    return ", ".join(f"{name} {max(values):.3g}" for name, values in pairs if values and max(values) > 0)


def _kept(verdict: Verdict) -> str:
    """What passed, and must still pass."""
    failed = [case for case in verdict.cases if not case.passed]
    passed = [case for case in verdict.cases if case.passed]
    if not passed or not failed or verdict.status in (Status.COMPILE_ERROR, Status.CHEATED):
        return ""
    shown = sorted({case.args for case in passed}, key=lambda args: (len(args), args))[:3]
    return f"What passed must stay so, such as {', '.join(f'`{_shorten(args, 100)}`' for args in shown)}."


# ---- how fast ------------------------------------------------------------------------------------


def _speeds(verdict: Verdict) -> Iterator[str]:
    """Speed-ups by case, the slowest first, and what the slow ones have in common."""
    timed = sorted(
        (case for case in verdict.cases if case.speedup is not None),
        key=lambda case: (case.speedup or 0.0, case.args, repr(case)),
    )
    if not timed:
        return
    lines = [_speed(case) for case in timed[:_SPEEDS]]
    if len(timed) > _SPEEDS:
        lines.append(f"- and {len(timed) - _SPEEDS} faster ones")
    if told := _slow(timed):
        lines.append(told)
    score = (
        "" if verdict.performance_score is None else f" (performance score {verdict.performance_score:.3g})"
    )
    yield f"Speed against PyTorch, slowest first{score}:\n" + "\n".join(lines)


def _speed(case: CaseResult) -> str:
    times = [
        f"{who} {f'{value:,.0f}' if value >= 100 else f'{value:.3g}'} µs"
        for who, value in (("PyTorch", case.reference_us), ("yours", case.candidate_us))
        if value is not None
    ]
    if case.noise is not None:
        times.append(f"± {100 * case.noise:.{0 if case.noise >= 0.1 else 1}f} %")
    if case.floor_us and case.candidate_us:
        share = min(case.floor_us / case.candidate_us, 1.0)
        times.append(f"at {100 * share:.0f} % of what memory and arithmetic units allow")
    detail = f" ({', '.join(times)})" if times else ""
    return f"- {case.speedup:.3g}× `{_shorten(case.args, 200)}`{detail}"


def _slow(timed: Sequence[CaseResult]) -> str:
    """What sets the slow cases apart, where there are enough to tell; `timed` begins with the slowest."""
    if len(timed) < _ENOUGH:
        return ""
    median = timed[len(timed) // 2].speedup or 0.0
    slow = [case for case in timed if (case.speedup or 0.0) < min(_SLOW * median, 1.0)]
    rest = [case for case in timed if case not in slow]
    told = causes.apart(slow, rest)
    return f"All of the {len(slow)} slowest {told}, and none of the faster ones does." if told else ""


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 0 else ""
