"""The same verdicts under another rule: each rule by hand, and the record stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from backend_bench.cli import runs
from backend_bench.grading.rewards import RULES, Reward
from backend_bench.report.rescore import document, rescored
from backend_bench.report.runs import read
from backend_bench.verdict import Status, Tally

from .recorded import folder, rollout, verdict

RIGHT = verdict(4.0)
HALF = verdict(None, correctness_score=0.5, performance_score=0.8, reward=0.4)
CHEAT = verdict(None, status=Status.CHEATED, correctness_score=0.0, performance_score=0.0)
UNTIMED = verdict(1.0, performance_score=1.0, performance=Tally(passed=0, total=0))


@pytest.mark.parametrize(
    ("reward", "right", "half"),
    [
        (Reward(), 4.0, 0.4),
        (Reward(rule="strict"), 4.0, 0.0),
        (Reward(rule="fast_p", p=3.9), 1.0, 0.0),
        (Reward(rule="fast_p", p=4.0), 0.0, 0.0),
        (Reward(rule="capped", cap=3.0), 3.0, 0.4),
        (Reward(rule="capped", cap=0.5), 0.5, 0.25),
    ],
    ids=str,
)
def test_each_rule_by_hand(reward: Reward, right: float, half: float) -> None:
    assert (reward.of(RIGHT), reward.of(HALF)) == (right, half)


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_pays_for_a_cheat_or_for_no_code(rule: Any) -> None:
    assert Reward(rule=rule).of(CHEAT) == Reward(rule=rule).of(None) == 0.0


@pytest.mark.parametrize("rule", RULES)
def test_what_was_not_scored_has_no_reward_under_any_rule(rule: Any) -> None:
    """Our own fault is never a 0."""
    fault = verdict(None, status=Status.ERROR, correctness_score=None, performance_score=None, reward=None)
    assert Reward(rule=rule).of(fault) is None
    assert Reward(rule=rule).of(verdict(1.0, only="correctness", performance_score=None, reward=None)) is None


def test_fast_p_says_nothing_of_what_is_not_timed() -> None:
    assert Reward(rule="fast_p").of(UNTIMED) is None
    assert Reward().of(UNTIMED) == 1.0


def test_another_rule_may_choose_another_turn(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 4.0, 3.5)
    rollout(run, "b", None)
    before, rule = read(run.path), Reward(rule="capped", cap=2.0)
    told = document(before, rescored(before, rule), rule)
    assert [(r["best_turn"], r["reward"], r["recorded_reward"]) for r in told["rollouts"]] == [
        (1, 2.0, 4.0),
        (1, 0.0, 0.0),
    ]
    assert told["mean"]["value"] == 1.0
    assert told["recorded_mean"]["value"] == 2.0
    assert told["operators"] == [{"op": "relu.default", "reward": 1.0, "recorded_reward": 2.0}]
    assert read(run.path) == before


def test_product_is_what_was_recorded(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", None, 1.5)
    before = read(run.path)
    told = document(before, rescored(before, Reward()), Reward())
    assert told["mean"] == told["recorded_mean"]


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.5)
    runs.rescore(run.path, reward="capped", cap=1.25, json_file=tmp_path / "out.json")
    out = capsys.readouterr().out
    assert "1.250" in out
    assert "capped (at most 1.25)" in out
    assert json.loads((tmp_path / "out.json").read_text())["reward"] == {
        "rule": "capped",
        "p": 1.0,
        "cap": 1.25,
    }
    runs.rescore(run.path, json_file=Path("-"))
    assert json.loads(capsys.readouterr().out)["mean"]["value"] == 1.5


@pytest.mark.parametrize("bad", [{"reward": "fastest"}, {"p": -1.0}, {"cap": 0.0}, {"p": float("nan")}])
def test_a_rule_that_is_none_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(typer.Exit) as end:
        runs.rescore(tmp_path, **bad)
    assert end.value.exit_code == 2
