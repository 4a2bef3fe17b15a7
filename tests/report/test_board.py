"""The board and the log of a run that goes: every rollout is told, and the screen's height is kept."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from backend_bench.report.board import Standing, clock, line, picture

DONE = Standing(
    op="relu.default",
    stage="done",
    turn=2,
    since_s=41,
    reward=1.3,
    speedup=1.3,
    outcome="ok",
    waits_s=(0.5, 1.5),
)
JUDGED = Standing(op="add.Tensor", stage="judge", turn=2, since_s=4, reward=0.5)
ASKED = Standing(op="mm.default", stage="model", turn=1, since_s=9)
FAILED = Standing(op="topk.default", stage="failed", error="no judge")
WAITING = Standing(op="cat.default", stage="waiting")
ALL = [DONE, JUDGED, ASKED, FAILED, WAITING]


def drawn(rollouts: list[Standing], height: int = 40, note: str = "") -> str:
    out = io.StringIO()
    Console(file=out, width=110).print(picture(rollouts, elapsed_s=60, height=height, note=note))
    return out.getvalue()


def test_the_board_tells_operators_judge_fastest_and_flights() -> None:
    text = drawn(ALL, note="stopping")
    for part in (
        "2 of 5 rollouts · 1 min 00 s", "2 of 5 done · 1 right · mean reward 1.3 · 1 failed",
        "1 kernel there · waited 1.0 s (median) · 2 verdicts a minute", "relu.default 1.30×",
        "add.Tensor turn 2 at the judge 4 s · best so far 0.5", "mm.default turn 1 at the model 9 s", "stopping",
    ):  # fmt: skip
        assert part in text, part
    assert text.index("mm.default turn") < text.index("add.Tensor turn"), "the longest first"


def test_nothing_yet_is_said() -> None:
    assert "no right kernel yet" in drawn([WAITING])


@pytest.mark.parametrize("height", [10, 24])
def test_a_hundred_in_flight_keep_to_the_screen(height: int) -> None:
    text = drawn([ASKED] * 100, height=height)
    assert len(text.splitlines()) <= height
    assert "more" in text


def test_a_wrong_kernel_is_never_among_the_fastest() -> None:
    assert "mm.default" not in drawn(
        [Standing(op="mm.default", stage="done", speedup=9.0, outcome="cheated")]
    )


@pytest.mark.parametrize(
    ("standing", "parts"),
    [
        (DONE, ("[ 7/20] relu.default", "right", "1.30×", "reward  1.300", "2 turns", "41 s")),
        (FAILED, ("topk.default", "failed   no judge")),
        (Standing(op="x", stage="done", turn=1, outcome="no_code"), ("no code", "–", "1 turn ")),
    ],
)
def test_a_line_holds_a_rollout(standing: Standing, parts: tuple[str, ...]) -> None:
    text = line(standing, 7, 20)
    assert all(part in text for part in parts), text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_times_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert clock(seconds) == text
