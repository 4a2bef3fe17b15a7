"""Verdicts as tables: every number finds its column, and nothing is folded away from a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from backend_bench.report.runs import Rollout, Turn
from backend_bench.report.table import (
    number,
    print_run,
    print_verdicts,
    run_table,
    speed,
    status,
    tally,
    verdict_table,
)
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Tally, Verdict

TIMED = CaseResult(
    args="((T([1024], f32),), {})",
    kind=CaseKind.PERFORMANCE,
    status=CaseStatus.PASSED,
    reference_us=12.0,
    candidate_us=10.0,
    speedup=1.2,
    noise=0.03,
)
WRONG = CaseResult(
    args="((T([5], f32),), {})", kind=CaseKind.CORRECTNESS, status=CaseStatus.WRONG, message="values differ"
)


def verdict(**more: Any) -> Verdict:
    given: dict[str, Any] = {
        "op": "relu.default",
        "language": "triton",
        "status": Status.OK,
        "correctness_score": 1.0,
        "performance_score": 1.2,
        "reward": 1.2,
        "correctness": Tally(passed=12, total=12),
        "performance": Tally(passed=1, total=1),
        "cases": (TIMED,),
        "wall_s": 2.5,
    }
    return Verdict(**given | more)


def shown(renderable: Any, **options: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=120, **options).print(renderable)
    return out.getvalue()


def test_a_verdict_has_a_line_with_all_its_numbers() -> None:
    text = shown(verdict_table([verdict()]))
    for part in ("relu.default", "ok", "12/12", "1/1", "1.20× ±3%", "1.200", "2.5 s", "mean reward 1.2"):
        assert part in text, part


def test_a_failure_and_its_evidence_are_told_below() -> None:
    cheat = verdict(
        op="add.Tensor",
        status=Status.CHEATED,
        reward=0.0,
        evidence=(Evidence(rule="precomputed", detail="early"),),
    )
    text = shown(verdict_table([cheat, verdict(status=Status.WRONG, cases=(WRONG,))]))
    assert "add.Tensor: precomputed early" in text
    assert "relu.default: ((T([5], f32),), {}): values differ" in text
    assert "1 cheated, 1 wrong" in text


def test_evidence_from_inside_the_worker_is_labelled() -> None:
    sign = Evidence(rule="r", detail="d", claimed=True)
    assert "(claimed by the worker)" in shown(verdict_table([verdict(evidence=(sign,))]))


def test_what_was_not_measured_is_a_dash() -> None:
    assert str(number(None)) == str(tally(Tally(passed=0, total=0))) == "–"
    assert str(speed(verdict(performance_score=None))) == str(speed(verdict(cases=()))) == "–"


@pytest.mark.parametrize("value", list(Status))
def test_every_status_has_its_colour(value: Status) -> None:
    assert status(value).style
    assert "_" not in str(status(value))


def test_nothing_graded_is_said() -> None:
    assert "nothing graded" in shown(verdict_table([]))
    assert "nothing was judged" in shown(run_table([]))


def turn(reward: float | None, *, number: int = 1, code: bool = True, op: str = "relu.default") -> Turn:
    judged = verdict(op=op, reward=reward, status=Status.OK if (reward or 0) >= 1 else Status.WRONG)
    return Turn(number=number, reward=reward, verdict=judged if code else None)


def rollout(*turns: Turn, name: str = "a", op: str = "relu.default") -> Rollout:
    return Rollout(id=name, op=op, turns=turns)


def test_a_run_shows_the_best_turn_of_each_operator() -> None:
    rollouts = [
        rollout(turn(0.5), turn(1.5, number=2)),
        rollout(turn(1.0), name="b"),
        rollout(turn(0.25, op="add.Tensor"), name="c", op="add.Tensor"),
    ]
    text = shown(run_table(rollouts, episodes=3, failed=1))
    assert "1.500" in text
    assert "3 in 2" in text
    assert "1 of 2 operators right" in text
    assert "3 episodes, 1 failed" in text
    assert text.index("add.Tensor") < text.index("relu.default")


def test_a_run_without_code_is_shown_as_such() -> None:
    text = shown(run_table([rollout(turn(0.0, code=False))]))
    assert "no code" in text
    assert "0 of 1 operators right" in text


def test_our_own_fault_never_counts_as_best() -> None:
    text = shown(run_table([rollout(turn(None), turn(0.5, number=2))]))
    assert "0.500" in text


def test_what_was_not_played_to_its_end_counts_in_no_mean() -> None:
    ended = rollout(turn(1.0))
    cut_off = Rollout(id="b", op="add.Tensor", turns=(turn(0.25, op="add.Tensor"),), finished=False)
    text = shown(run_table([ended, cut_off]))
    assert "unfinished" in text
    assert "1 of 1 operators right, mean reward of the best 1; 1 not counted" in text
    both = Rollout(id="c", op="relu.default", turns=(turn(2.0),), finished=False)
    assert "mean reward of the best 1" in shown(run_table([ended, both]))
    assert "1 not counted" in shown(run_table([cut_off]))


def test_away_from_a_terminal_it_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdicts([verdict(op="_scaled_dot_product_flash_attention_backward.default")])
    print_run([rollout(turn(1.0))])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "_scaled_dot_product_flash_attention_backward.default" in out


def test_markup_in_a_message_is_text() -> None:
    assert "[red]x[/red]" in shown(
        verdict_table([verdict(status=Status.COMPILE_ERROR, message="[red]x[/red]")])
    )


def test_a_cheat_has_no_speed_up() -> None:
    """Its score is 0, and 0.00× would be a time that nobody took."""
    assert speed(verdict(cases=(TIMED,))).plain != "–"
    cheat = verdict(cases=(TIMED,), status=Status.CHEATED, performance_score=0.0)
    assert speed(cheat).plain == "–"
    assert Turn(number=1, reward=0.0, verdict=cheat).speedup is None
