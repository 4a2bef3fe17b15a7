"""A performance case that nobody can judge is left out, and said; it is no fault and no zero."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from backend_bench.grading.oracle import Unjudgeable
from backend_bench.judge import correctness, performance
from backend_bench.judge.judge import Judge
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import CaseKind, Status

SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 1])
def test_it_is_left_out(own_judge: Judge, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    whole = correctness.expectation_of

    def expected(overload: Any, attempt: correctness.Attempt, profile: Any) -> Any:
        if attempt.case >= left:
            raise Unjudgeable("its results are random")
        return whole(overload, attempt, profile)

    monkeypatch.setattr(correctness, "expectation_of", expected)
    submission = Submission(op=Operator.parse("relu"), suite=SPEC, kind="reference", only="performance")
    assert len(own_judge.suite(SPEC).index().entries["relu.default"].performance) == 2
    verdict = own_judge.judge(submission)
    assert len(verdict.cases) == left
    assert verdict.status is (Status.OK if left else Status.NO_CASES), verdict.message
    note = "2 performance cases left out" if left == 0 else "1 performance case left out"
    assert f"{note}: its results are random" in verdict.notes


@pytest.fixture
def nothing_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the clock can tell."""
    pace = dataclasses.replace(performance.PACES["cpu"], least_us=1e9)
    monkeypatch.setitem(performance.PACES, "cpu", pace)


@pytest.mark.usefixtures("nothing_launched")
def test_where_aten_launches_nothing_there_is_no_time_to_compare_with(own_judge: Judge) -> None:
    submission = Submission(op=Operator.parse("relu"), suite=SPEC, kind="reference")
    verdict = own_judge.judge(submission)
    assert verdict.status is Status.OK, verdict.message
    assert {case.kind for case in verdict.cases} == {CaseKind.CORRECTNESS}
    assert verdict.reward == verdict.correctness_score == 1
    assert verdict.notes[0] == f"2 performance cases left out: {performance.NOTHING}"


@pytest.mark.usefixtures("nothing_launched")
def test_they_count_as_failed_for_nobody(own_judge: Judge) -> None:
    submission = Submission(op=Operator.parse("relu"), source="import nothing_of_this_name", suite=SPEC)
    verdict = own_judge.judge(submission)
    assert verdict.status is Status.COMPILE_ERROR
    assert {case.kind for case in verdict.cases} == {CaseKind.CORRECTNESS}
