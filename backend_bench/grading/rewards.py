"""Other rewards from the same verdict: what a kernel would have earned under another rule. Runs nothing.

    product   correctness_score × performance_score: the reward of this package
    strict    the same where every case passed, else 0
    fast_p    1 where every case passed and the performance score is above p, else 0
    capped    correctness_score × the performance score, counted up to a limit

An operator without timed cases has no reward under fast_p. A verdict without scores (our own fault, no cases, or judged
for correctness only) has none under any rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from backend_bench.verdict import Status, Verdict

Rule = Literal["product", "strict", "fast_p", "capped"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A rule with its numbers."""

    rule: Rule = "product"
    p: float = 1.0
    """fast_p: how many times as fast as PyTorch a kernel must be."""
    cap: float = 3.0
    """capped: the performance score that counts at most."""

    def of(self, verdict: Verdict | None) -> float | None:
        """What a turn earns: 0 without code, None without scores."""
        if verdict is None:
            return 0.0
        if verdict.correctness_score is None or verdict.only == "correctness":
            return None
        return _RULES[self.rule](self, verdict, verdict.correctness_score)

    def __str__(self) -> str:
        number = {"fast_p": f" (p = {self.p:g})", "capped": f" (at most {self.cap:g})"}
        return f"{self.rule}{number.get(self.rule, '')}"


def _speed(verdict: Verdict) -> float:
    return 1.0 if verdict.performance_score is None else verdict.performance_score


def _product(_: Reward, verdict: Verdict, right: float) -> float:
    return right * _speed(verdict)


def _strict(_: Reward, verdict: Verdict, right: float) -> float:
    return right * _speed(verdict) if verdict.status is Status.OK else 0.0


def _fast(reward: Reward, verdict: Verdict, right: float) -> float | None:
    if verdict.status is not Status.OK:
        return 0.0
    return None if not verdict.performance.total else float(_speed(verdict) > reward.p)


def _capped(reward: Reward, verdict: Verdict, right: float) -> float:
    return right * min(_speed(verdict), reward.cap)


_RULES: dict[Rule, Callable[[Reward, Verdict, float], float | None]] = {
    "product": _product,
    "strict": _strict,
    "fast_p": _fast,
    "capped": _capped,
}
