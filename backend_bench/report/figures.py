"""Numbers over the rollouts of a run, each with its 95 % interval. Pure arithmetic on recorded verdicts.

Shares (right, faster than p) have Wilson's score interval, which is good for few rollouts and for shares near 0 and 1.
Means have the percentile bootstrap over rollouts, with a fixed seed, so that a report can be made twice. Both take
the rollouts as independent draws; those of one operator are more alike than that, so where a run has few operators and
many rollouts of each, the intervals are too narrow to speak of other operators.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend_bench.report.runs import Recorded, Rollout

RESAMPLES = 1000
"""Enough that the ends of an interval move by less than what a report shows."""
THRESHOLDS = (0.0, *(round(0.05 * step, 2) for step in range(1, 61)), 3.5, 4.0, 5.0, 6.0, 8.0, 10.0)
"""The p of the fast_p curve: close together where kernels are, and up to 10."""
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float
    of: int
    """How many rollouts (or operators) it rests on."""


def share(hits: int, of: int) -> Estimate | None:
    """A share, with Wilson's score interval; None of nothing."""
    if not of:
        return None
    p, z2 = hits / of, _Z95**2
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half), of)


def mean(values: Sequence[float]) -> Estimate | None:
    """A mean, with its percentile bootstrap; None of nothing."""
    return _bootstrapped(values, lambda drawn: math.fsum(drawn) / len(drawn))


def geometric_mean(values: Sequence[float]) -> Estimate | None:
    """A geometric mean of positive numbers, with its percentile bootstrap."""
    logs = [math.log(value) for value in values if value > 0]
    found = _bootstrapped(logs, lambda drawn: math.fsum(drawn) / len(drawn))
    if found is None:
        return None
    return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high), found.of)


def _bootstrapped(values: Sequence[float], statistic: Callable[[Sequence[float]], float]) -> Estimate | None:
    if not values:
        return None
    draws = random.Random(0)
    drawn = sorted(statistic(draws.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return Estimate(
        statistic(values), drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES)], len(values)
    )


def is_timed(rollouts: Sequence[Rollout]) -> bool:
    """Whether an operator has timed cases, told by any verdict on it."""
    return any(
        turn.verdict is not None and turn.verdict.performance.total
        for rollout in rollouts
        for turn in rollout.turns
    )


def timed(run: Recorded) -> tuple[Rollout, ...]:
    """The counted rollouts of the operators that have timed cases."""
    known = {op: is_timed(run.of(op)) for op in run.operators}
    return tuple(rollout for rollout in run.counted if known[rollout.op])


def fast(rollouts: Sequence[Rollout], p: float) -> Estimate | None:
    """fast_p: the share of rollouts whose best kernel is right and more than `p` times as fast as PyTorch.

    The measure of KernelBench (Ouyang et al., 2025, arXiv 2502.10517), over rollouts.
    """
    return share(sum(_faster(rollout, p) for rollout in rollouts), len(rollouts))


def _faster(rollout: Rollout, p: float) -> bool:
    best = rollout.best
    return best.right and best.speedup is not None and best.speedup > p


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What stands at the head of a report on a run."""

    operators: int
    operators_right: int
    """Operators with a right kernel in any counted rollout."""
    rollouts: int
    """Those that are counted."""
    unfinished: int
    """Interrupted or failed, and left out."""
    faults: int
    """Finished without a score, by a fault of ours or for want of cases, and left out."""
    cheated: int
    """Counted rollouts with a kernel that was called cheated."""
    right: Estimate | None
    faster: Estimate | None
    """fast_1; None where nothing is timed."""
    reward: Estimate | None
    speedup: Estimate | None
    """Geometric mean over the right kernels that were timed."""
    judge_s: float
    """Seconds of judging, all turns together."""


def summary(run: Recorded) -> Summary:
    """The figures of one run."""
    counted = run.counted
    speeds = [r.best.speedup for r in counted if r.best.right and r.best.speedup is not None]
    finished = sum(rollout.finished for rollout in run.rollouts)
    verdicts = [turn.verdict for rollout in run.rollouts for turn in rollout.turns if turn.verdict]
    return Summary(
        operators=len(run.operators),
        operators_right=len({rollout.op for rollout in counted if rollout.best.right}),
        rollouts=len(counted),
        unfinished=len(run.rollouts) - finished,
        faults=finished - len(counted),
        cheated=sum(any(turn.outcome == "cheated" for turn in rollout.turns) for rollout in counted),
        right=share(sum(rollout.best.right for rollout in counted), len(counted)),
        faster=fast(timed(run), 1.0),
        reward=mean([rollout.best.reward or 0.0 for rollout in counted]),
        speedup=geometric_mean(speeds),
        judge_s=math.fsum(verdict.wall_s for verdict in verdicts),
    )


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """How a run stood after its n-th turn."""

    turn: int
    best_so_far: Estimate
    """Mean over all counted rollouts of the best reward up to here; one that ended earlier keeps its best."""
    outcomes: dict[str, int]
    """How many turns of this number had each outcome."""


def by_turn(run: Recorded) -> list[TurnFigures]:
    """What each further turn was worth."""
    counted = run.counted
    figures = []
    for number in range(1, max((len(rollout.turns) for rollout in counted), default=0) + 1):
        best = mean([_best_until(rollout, number) for rollout in counted])
        outcomes: dict[str, int] = {}
        for rollout in counted:
            for turn in rollout.turns[number - 1 : number]:
                outcomes[turn.outcome] = outcomes.get(turn.outcome, 0) + 1
        assert best is not None  # there is a rollout with such a turn
        figures.append(TurnFigures(number, best, outcomes))
    return figures


def _best_until(rollout: Rollout, number: int) -> float:
    return max((turn.reward or 0.0 for turn in rollout.turns[:number]), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run beside the first one, operator by operator; an operator counts with the mean of its rollouts."""

    operators: int
    """Those that both runs have."""
    better: int
    worse: int
    difference: Estimate | None
    """Of the mean rewards; bootstrap over operators."""


def compare(first: Recorded, other: Recorded) -> Comparison:
    """`other` less `first`."""
    one, two = mean_rewards(first), mean_rewards(other)
    differences = [two[op] - one[op] for op in sorted(one.keys() & two.keys())]
    return Comparison(
        operators=len(differences),
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
        difference=mean(differences),
    )


def mean_rewards(run: Recorded) -> dict[str, float]:
    """The mean reward of each operator's counted rollouts."""
    of: dict[str, list[float]] = {}
    for rollout in run.counted:
        of.setdefault(rollout.op, []).append(rollout.best.reward or 0.0)
    return {op: math.fsum(values) / len(values) for op, values in of.items()}
