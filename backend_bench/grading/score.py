"""From cases to scores: what the cases are worth, by the rules of the profile.

Knows nothing about how a case was judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend_bench.submission import Only, Profile
from backend_bench.verdict import CaseKind, CaseResult, Status, Tally

_NEVER_ZERO = 1e-6
"""Smallest speed-up that counts: a time that rounds to nothing must not make the mean zero."""
_NEVER_ENDLESS = 1e6
"""Largest likewise, so that every score is finite."""


@dataclass(frozen=True, slots=True)
class Score:
    """The numbers of a verdict."""

    correctness_score: float | None
    """Passed cases / all cases; None without cases."""
    performance_score: float | None
    """By the profile's rule; None where it was not asked for, or without cases."""
    reward: float | None
    """correctness_score * performance_score; None where either is."""
    correctness: Tally
    """Correctness cases, error inputs among them."""
    performance: Tally
    """Performance cases."""


def score(
    cases: Sequence[CaseResult],
    *,
    profile: Profile = "strict",
    only: Only | None = None,
    status: Status = Status.OK,
) -> Score:
    """Score the cases of one submission; `status` tells of what no case shows, such as cheating."""
    correctness = _tally(case for case in cases if case.kind is not CaseKind.PERFORMANCE)
    timed = [case for case in cases if case.kind is CaseKind.PERFORMANCE]
    performance = _tally(timed)
    if not cases or status in (Status.NO_CASES, Status.ERROR):
        return Score(None, None, None, correctness, performance)
    right = (correctness.passed + performance.passed) / len(cases)
    if status in (Status.COMPILE_ERROR, Status.CHEATED):
        right = 0.0
    fast = None if only == "correctness" else _performance(cases, timed, correctness, profile)
    if fast is not None and status in (Status.COMPILE_ERROR, Status.CHEATED):
        fast = 0.0
    reward = None if fast is None else right * fast
    return Score(right, fast, reward, correctness, performance)


def _tally(cases: Iterable[CaseResult]) -> Tally:
    passed = [case.passed for case in cases]
    return Tally(passed=sum(passed), total=len(passed))


def _performance(
    cases: Sequence[CaseResult],
    timed: Sequence[CaseResult],
    correctness: Tally,
    profile: Profile,
) -> float:
    if not timed:
        return 1.0 if correctness.passed else 0.0
    if profile == "backendbench":
        return _mean([_speedup(case) if case.passed else 1.0 for case in timed])
    passed = [_speedup(case) for case in timed if case.passed]
    if not passed:
        return 0.0
    failed = min(1.0, min(passed))
    mean = _mean(passed + [failed] * (len(timed) - len(passed)))
    return mean if all(case.passed for case in cases) else min(1.0, mean)


def _speedup(case: CaseResult) -> float:
    """The case's speed-up, held finite; a passed case without one was not faster than ATen."""
    value = case.speedup
    if value is None or not math.isfinite(value):
        return 1.0
    return min(max(value, _NEVER_ZERO), _NEVER_ENDLESS)


def _mean(speedups: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(math.fsum(math.log(value) for value in speedups) / len(speedups))
