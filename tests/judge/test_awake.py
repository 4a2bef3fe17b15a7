"""Limits count the time in which the judge runs, and nothing reads a clock that somebody can set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from backend_bench.judge.awake import LATE_S, LOOK_S, Clock

PACKAGE = Path(__file__).parents[2] / "backend_bench"
DECIDE = ["judge", "worker", "service", "executors", "wire.py", "buffers.py", "grading"]


class Hands:
    """A clock's hands, to be moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def passed(clock: Clock, hands: Hands, *steps_s: float) -> float:
    began = clock.read()
    for step_s in steps_s:
        hands.at += step_s
        now = clock.read()
    return now - began


def test_time_that_is_watched_counts() -> None:
    hands = Hands()
    assert passed(Clock(hands), hands, *[LOOK_S] * 40) == pytest.approx(40 * LOOK_S)


def test_a_busy_processor_counts() -> None:
    hands = Hands()
    assert passed(Clock(hands), hands, LOOK_S, LATE_S, LOOK_S) == pytest.approx(2 * LOOK_S + LATE_S)


def test_a_night_counts_as_one_look() -> None:
    hands = Hands()
    assert passed(Clock(hands), hands, LOOK_S, 8 * 3600, LOOK_S) == pytest.approx(3 * LOOK_S)


def test_no_decision_reads_a_clock_that_can_jump() -> None:
    """The wall clock is for records; a monotonic one is for everything else."""
    files = [
        file
        for name in DECIDE
        for file in ([PACKAGE / name] if name.endswith(".py") else (PACKAGE / name).rglob("*.py"))
    ]
    assert len(files) > 40
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and (ast.unparse(node) in ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow"))
    ]
    assert found == []
