"""One verdict from two halves that were judged in different places: whether it is right in one, how fast it is in another.

Knows no place; what is worth timing is decided here, because a kernel that is not timed still has its cases counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from backend_bench.grading.score import score
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Tally, Verdict

_WORST_FIRST = (
    Status.ERROR,
    Status.CHEATED,
    Status.COMPILE_ERROR,
    Status.TIMED_OUT,
    Status.CRASHED,
    Status.WRONG,
    Status.OK,
    Status.NO_CASES,
)
"""Of two statuses the earlier one is the verdict's."""
_WORTH_TIMING = (Status.OK, Status.WRONG, Status.NO_CASES)
"""A kernel that does not compile, cheats, crashes or hangs need not do so again on a dear card."""


def is_worth_timing(correctness: Verdict) -> bool:
    """Whether the second half is asked for."""
    return correctness.status in _WORTH_TIMING


def not_timed(correctness: Verdict, cases: Sequence[str]) -> Verdict:
    """The second half of a kernel that was not worth it: every performance case counts as failed."""
    message = f"not run: correctness ended with {correctness.status}"
    return Verdict(
        op=correctness.op,
        language=correctness.language,
        status=Status.NO_CASES,
        cases=tuple(
            CaseResult(args=args, kind=CaseKind.PERFORMANCE, status=CaseStatus.NOT_RUN, message=message)
            for args in cases
        ),
        performance=Tally(passed=0, total=len(cases)),
        sandbox=correctness.sandbox,
    )


def joined(correctness: Verdict, performance: Verdict) -> Verdict:
    """The verdict on both halves, scored as if one judge had judged them; the worse status is its status."""
    worse = min(correctness, performance, key=lambda half: _WORST_FIRST.index(half.status))
    cases = correctness.cases + performance.cases
    scores = score(cases, profile=correctness.profile, status=worse.status)
    stages = {**correctness.stages_s, **performance.stages_s}
    return replace(
        correctness,
        status=worse.status,
        message=_message(worse, cases),
        correctness_score=scores.correctness_score,
        performance_score=scores.performance_score,
        reward=scores.reward,
        correctness=scores.correctness,
        performance=scores.performance,
        cases=cases,
        evidence=correctness.evidence + performance.evidence,
        wall_s=correctness.wall_s + performance.wall_s,
        stages_s={
            stage: correctness.stages_s.get(stage, 0.0) + performance.stages_s.get(stage, 0.0)
            for stage in stages
        },
        notes=_once(correctness.notes + performance.notes),
        sandbox=tuple(wall for wall in correctness.sandbox if wall in performance.sandbox),
        only=None,
    )


def _message(worse: Verdict, cases: Sequence[CaseResult]) -> str:
    """A half counts its own cases only."""
    failed = [case for case in cases if not case.passed]
    if worse.status is Status.WRONG and failed:
        return f"{len(failed)} of {len(cases)} cases failed: {failed[0].message}"
    return worse.message


def _once(notes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(notes))
