"""From a verdict to what the model is told before its next turn: what failed, why, and how fast it was.

Bounded, deterministic, and silent about seeds. It reports the verdict and adds no opinion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Verdict

BUDGET = 6000
"""Characters of one feedback: about 1,500 tokens, so that ten turns fit any context."""
_GROUPS = 6
"""Kinds of failure that are told apart; a model mends the first few."""
_SPEEDS = 12
"""Cases whose speed is listed, slowest first."""
_TRACE_LINES = 24
"""Lines of a compiler's text that are kept."""

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
_SEED = re.compile(r"\bseed\b\W{0,3}\d+", re.I)
_NUMBER = re.compile(r"-?\b(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)\b", re.I)
_LIST = re.compile(r"#(?:, ?#)+,?")
_SHAPE = re.compile(r"\bT\(\[([\d, ]*)\]")
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line \d+')
_FOREIGN = re.compile(r"site-packages|dist-packages|/lib/python|backend_bench/|<frozen ")


@dataclass(frozen=True, slots=True)
class Best:
    """The best turn so far."""

    turn: int
    """Counted from 1."""
    reward: float
    """What it earned."""


def feedback(verdict: Verdict, *, best: Best | None = None, note: str = "", budget: int = BUDGET) -> str:
    """What to tell the model; never longer than `budget` characters.

    `best` is the best earlier turn, and `note` is what the reply's reader had to say.
    """
    sections = [
        _headline(verdict),
        note,
        _broken(verdict),
        *_evidence(verdict),
        *_failures(verdict.cases),
        _standing(verdict, best),
        *_speeds(verdict),
        *(f"Note: {text}" for text in verdict.notes),
        _request(verdict),
    ]
    return fit([_without_seed(section) for section in sections if section], budget)


def no_code(note: str, *, budget: int = BUDGET) -> str:
    """What to tell a model whose reply held no kernel."""
    return fit([note, "That cost a turn: nothing was run."], budget)


def fit(sections: Sequence[str], budget: int) -> str:
    """The sections in order, the first and the last always; the middle is cut to `budget`."""
    *middle, last = [section.strip() for section in sections if section.strip()] or [""]
    room = budget - len(last) - 2
    kept: list[str] = []
    for section in middle:
        left = room - sum(len(text) + 2 for text in kept)
        if left <= 0:
            break
        kept.append(_shorten(section, left))
    return "\n\n".join([*(text for text in kept if text), last])[: max(budget, 0)]


def _headline(verdict: Verdict) -> str:
    tallies = [
        f"{tally.passed} of {tally.total} {kind} cases passed"
        for tally, kind in ((verdict.correctness, "correctness"), (verdict.performance, "performance"))
        if tally.total
    ]
    lines = [_HEADLINE[verdict.status]]
    if tallies:
        lines.append(f"{', '.join(tallies)}.")
    if verdict.reward is not None:
        lines.append(f"Score of this turn: {verdict.reward:.3g}.")
    return " ".join(lines)


def _broken(verdict: Verdict) -> str:
    """The verdict's own message, a compiler's text cut to what matters; not where the cases tell it."""
    told = verdict.status is Status.WRONG and any(case.message for case in verdict.cases)
    if told or not verdict.message:
        return ""
    return "```text\n" + trim_trace(verdict.message) + "\n```" if "\n" in verdict.message else verdict.message


def trim_trace(text: str) -> str:
    """A traceback without the frames of libraries, and no longer than a screen; the end is kept."""
    kept: list[str] = []
    foreign = False
    for line in text.strip().split("\n"):
        frame = _FRAME.match(line)
        if frame is not None:
            foreign = _FOREIGN.search(frame["path"]) is not None
        elif line[:4] != "    ":
            foreign = False
        if not foreign:
            kept.append(line[:300])
    if len(kept) > _TRACE_LINES:
        kept = [kept[0], "  …", *kept[-_TRACE_LINES + 2 :]]
    return "\n".join(kept)


def _evidence(verdict: Verdict) -> Iterable[str]:
    if verdict.evidence:
        yield "Evidence:\n" + "\n".join(f"- {sign.rule}: {sign.detail}" for sign in verdict.evidence)


def _failures(cases: Sequence[CaseResult]) -> Iterable[str]:
    """Failed cases by kind of message, the most frequent first, each with its smallest example."""
    groups: dict[tuple[str, str], list[CaseResult]] = {}
    for case in cases:
        if not case.passed and case.status is not CaseStatus.NOT_RUN:
            groups.setdefault((case.status.value, _kind(case.message)), []).append(case)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    if ranked:
        lines = [_failure(group) for _, group in ranked[:_GROUPS]]
        if len(ranked) > _GROUPS:
            rest = sum(len(group) for _, group in ranked[_GROUPS:])
            lines.append(f"- and {rest} more of {len(ranked) - _GROUPS} other kinds")
        yield "What failed:\n" + "\n".join(lines)
    skipped = sum(case.status is CaseStatus.NOT_RUN for case in cases)
    if skipped:
        yield f"{skipped} cases were not run after that; they count as failed."


def _failure(group: Sequence[CaseResult]) -> str:
    case = min(group, key=lambda one: (_elements(one.args), len(one.args), one.args))
    status = case.status.value.replace("_", " ")
    errors = [
        f"{name} {value:.3g}"
        for name, value in (("abs error", case.max_abs_error), ("rel error", case.max_rel_error))
        if value is not None
    ]
    detail = f" (worst over all its inputs: {', '.join(errors)})" if errors else ""
    message = _shorten(trim_trace(case.message), 600).replace("\n", "\n    ") or "no message"
    return f"- {len(group)} × {status}, for example `{_shorten(case.args, 300)}`{detail}:\n    {message}"


def _standing(verdict: Verdict, best: Best | None) -> str:
    """What must stay as it is, and whether an earlier turn was better."""
    lines = []
    passed = verdict.correctness.passed + verdict.performance.passed
    if passed and verdict.status is Status.WRONG:
        lines.append("What passed must still pass after your change.")
    if best is not None and best.reward > (verdict.reward or 0.0):
        lines.append(
            f"Your turn {best.turn} scored {best.reward:.3g}, which is better than this one; "
            "start again from that kernel unless you know what to mend here."
        )
    return " ".join(lines)


def _speeds(verdict: Verdict) -> Iterable[str]:
    """Speed-ups by case, the slowest first."""
    timed = sorted(
        ((case.speedup, case.args, case) for case in verdict.cases if case.speedup is not None),
        key=lambda item: item[:2],
    )
    if not timed:
        return
    lines = [_speed(case) for _, _, case in timed[:_SPEEDS]]
    if len(timed) > _SPEEDS:
        lines.append(f"- and {len(timed) - _SPEEDS} faster ones")
    score = (
        "" if verdict.performance_score is None else f" (performance score {verdict.performance_score:.3g})"
    )
    yield f"Speed against PyTorch, slowest first{score}:\n" + "\n".join(lines)


def _speed(case: CaseResult) -> str:
    times = [
        f"{who} {value:.3g} µs"
        for who, value in (("PyTorch", case.reference_us), ("yours", case.candidate_us))
        if value is not None
    ]
    if case.noise is not None:
        times.append(f"± {100 * case.noise:.{0 if case.noise >= 0.1 else 1}f} %")
    detail = f" ({', '.join(times)})" if times else ""
    return f"- {case.speedup:.3g}× `{_shorten(case.args, 200)}`{detail}"


def _request(verdict: Verdict) -> str:
    if verdict.status is not Status.OK:
        return "Mend it and send the whole file again in one ```python block."
    if any(case.kind is CaseKind.PERFORMANCE for case in verdict.cases):
        return "Make it faster, keep it right, and send the whole file again in one ```python block."
    return "Improve it if you can, and send the whole file again in one ```python block."


def _kind(message: str) -> str:
    """A message's kind: its first line without its numbers."""
    return _LIST.sub("#", _NUMBER.sub("#", message.split("\n", 1)[0]))[:120]


def _elements(args: str) -> int:
    """Elements of all tensors in the text of a case's arguments."""
    total = 0
    for shape in _SHAPE.findall(args):
        count = 1
        for size in shape.split(","):
            count *= int(size) if size.strip() else 1
        total += count
    return total


def _without_seed(text: str) -> str:
    return _SEED.sub("seed withheld", text)


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if limit > 0 else ""
