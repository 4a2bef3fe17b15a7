"""From the turns of a rollout to its reward and metrics. Every number is finite.

A turn is the plain dict that `Task.attempt` appends to `trace.info["turns"]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backend_bench.grading.rewards import Reward
from backend_bench.verdict import Verdict

Turn = Mapping[str, Any]


def turn_reward(verdict: Verdict | None) -> float:
    """What a turn earned, by this package's own rule: 0 without code."""
    return finite(Reward().of(verdict))


def best_turn(turns: Sequence[Turn]) -> Turn | None:
    """The turn with the highest reward; of equals the one that passed more, then the first."""
    return max(turns, key=_rank, default=None)


def metrics(turns: Sequence[Turn]) -> dict[str, float]:
    """A rollout's metrics, by the names of the contract, and a few more beside them."""
    best = best_turn(turns) or {}
    verdict: Mapping[str, Any] = best.get("verdict") or {}
    reward = finite(best.get("reward"))
    return {
        "last_reward": finite(turns[-1]["reward"]) if turns else 0.0,
        "best_reward": reward,
        "test_accuracy": _share(verdict.get("correctness")),
        "perf_accuracy": _share(verdict.get("performance")),
        "best_run_correctness_score": finite(verdict.get("correctness_score")),
        "best_run_performance_score": finite(verdict.get("performance_score")),
        "turns": float(len(turns)),
        "best_turn": float(best.get("turn", 0)),
        "no_code_turns": float(sum(turn["verdict"] is None for turn in turns)),
        "correct_turns": float(sum((turn["verdict"] or {}).get("status") == "ok" for turn in turns)),
        "cheated_turns": float(sum((turn["verdict"] or {}).get("status") == "cheated" for turn in turns)),
        "judge_s": math.fsum(finite((turn["verdict"] or {}).get("wall_s")) for turn in turns),
    }


def finite(value: Any) -> float:
    """The number, or 0 where there is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _rank(turn: Turn) -> tuple[float, float, int]:
    verdict = turn["verdict"] or {}
    return finite(turn["reward"]), finite(verdict.get("correctness_score")), -int(turn["turn"])


def _share(tally: Mapping[str, Any] | None) -> float:
    """Passed of total; 0 where there was nothing to pass."""
    return tally["passed"] / tally["total"] if tally and tally["total"] else 0.0
