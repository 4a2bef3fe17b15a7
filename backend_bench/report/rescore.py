"""A recorded run under another reward: the same verdicts, other numbers. Runs nothing and changes no record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from backend_bench.grading.rewards import Reward
from backend_bench.report import figures
from backend_bench.report.runs import Recorded
from backend_bench.report.table import number, own_console, plain_table


def rescored(run: Recorded, reward: Reward) -> Recorded:
    """The run with every turn's reward by `reward`."""
    rollouts = tuple(
        replace(rollout, turns=tuple(replace(turn, reward=reward.of(turn.verdict)) for turn in rollout.turns))
        for rollout in run.rollouts
    )
    return replace(run, rollouts=rollouts)


def document(before: Recorded, after: Recorded, reward: Reward) -> dict[str, Any]:
    """Both, as plain JSON: the mean with its interval, operators and rollouts."""
    was = figures.mean_rewards(before)
    return {
        "schema": 1,
        "run": str(before.path),
        "reward": asdict(reward),
        "mean": _mean(after),
        "recorded_mean": _mean(before),
        "operators": [
            {"op": op, "reward": now, "recorded_reward": was.get(op)}
            for op, now in sorted(figures.mean_rewards(after).items())
        ],
        "rollouts": [
            {
                "rollout": rollout.id,
                "op": rollout.op,
                "best_turn": rollout.best.number,
                "reward": rollout.best.reward,
                "recorded_reward": old.best.reward,
                "finished": rollout.finished,
            }
            for old, rollout in zip(before.rollouts, after.rollouts, strict=True)
        ],
    }


def print_rescored(told: Mapping[str, Any], reward: Reward, *, console: Console | None = None) -> None:
    """One line an operator: the mean of its rollouts, as recorded and under `reward`."""
    table = plain_table("operator", "as recorded", str(reward))
    for line in told["operators"]:
        table.add_row(line["op"], number(line["recorded_reward"]), number(line["reward"]))
    mean = told["mean"]
    total = Text("no rollout has a reward under this rule", "bold")
    if mean is not None:
        band = f"{mean['low']:.3g} to {mean['high']:.3g}"
        total = Text(f"mean of {mean['of']} rollouts {mean['value']:.3g} (95 %: {band})", "bold")
        if (recorded := told["recorded_mean"]) is not None:
            total.append(f"; as recorded {recorded['value']:.3g}")
    (console or own_console()).print(Group(table, total))


def _mean(run: Recorded) -> dict[str, Any] | None:
    found = figures.mean([rollout.best.reward or 0.0 for rollout in run.counted])
    return None if found is None else asdict(found)
