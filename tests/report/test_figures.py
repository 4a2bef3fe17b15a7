"""Figures over rollouts: their values by hand, and intervals that hold what they say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from backend_bench.report import figures
from backend_bench.report.runs import Recorded, read

from .recorded import folder, rollout


@pytest.fixture
def run(tmp_path: Path) -> Recorded:
    """Four counted rollouts (2.0, 1.2, 0.5 and a wrong one), and one that was interrupted."""
    kept = folder(tmp_path / "run")
    rollout(kept, "a", None, 2.0)
    rollout(kept, "b", 1.2, 1.0)
    rollout(kept, "c", 0.5, op="add.Tensor")
    rollout(kept, "d", None, op="mm.default")
    rollout(kept, "e", 9.0, op="mm.default", ended=False)
    return read(kept.path)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # Wilson's interval, from R's binom.confint(method = "wilson")
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_a_share_has_wilsons_interval(hits: int, of: int, low: float, high: float) -> None:
    found = figures.share(hits, of)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_share_of_nothing_is_none() -> None:
    assert figures.share(0, 0) is None
    assert figures.mean([]) is None
    assert figures.geometric_mean([]) is None


def test_a_bootstrap_is_near_the_normal_interval_and_repeats() -> None:
    values = [float(n % 7) for n in range(350)]
    found = figures.mean(values)
    assert found is not None
    assert found == figures.mean(values)
    half = 1.96 * math.sqrt(4.0 / 350)  # the variance of 0 … 6 is 4
    assert found.value == pytest.approx(3.0)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


def test_equal_values_have_no_width() -> None:
    found = figures.geometric_mean([2.0] * 5)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_fast_p_wants_right_and_faster(run: Recorded) -> None:
    points = {p: figures.fast(figures.timed(run), p) for p in (0.0, 0.5, 1.0, 1.5, 2.0)}
    assert {p: point and point.value for p, point in points.items()} == {
        0.0: 0.75, 0.5: 0.5, 1.0: 0.5, 1.5: 0.25, 2.0: 0.0,
    }  # fmt: skip


def test_the_summary_counts_what_was_finished(run: Recorded) -> None:
    found = figures.summary(run)
    assert (found.operators, found.operators_right, found.rollouts, found.unfinished) == (3, 2, 4, 1)
    assert found.right is not None
    assert found.right.value == 0.75
    assert found.reward is not None
    assert found.reward.value == pytest.approx((2.0 + 1.2 + 0.5) / 4)
    assert found.speedup is not None
    assert found.speedup.value == pytest.approx((2.0 * 1.2 * 0.5) ** (1 / 3))
    assert found.judge_s == 14.0


def test_a_turn_keeps_the_best_before_it(run: Recorded) -> None:
    first, second = figures.by_turn(run)
    assert first.best_so_far.value == pytest.approx((1.2 + 0.5) / 4)
    assert second.best_so_far.value == pytest.approx((2.0 + 1.2 + 0.5) / 4)
    assert first.outcomes == {"wrong": 2, "ok": 2}
    assert second.outcomes == {"ok": 2}


def test_runs_are_compared_on_the_operators_of_both(run: Recorded, tmp_path: Path) -> None:
    other = folder(tmp_path / "other")
    rollout(other, "a", 3.0)
    rollout(other, "b", 0.25, op="add.Tensor")
    found = figures.compare(run, read(other.path))
    assert (found.operators, found.better, found.worse) == (2, 1, 1)
    assert found.difference is not None
    assert found.difference.value == pytest.approx((3.0 - 1.6 + 0.25 - 0.5) / 2)
