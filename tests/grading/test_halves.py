"""Two halves of a verdict make one, as if one judge had judged them."""

from __future__ import annotations

from typing import Any

import pytest

from backend_bench.grading import halves
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Tally, Verdict

PASSED, WRONG = CaseStatus.PASSED, CaseStatus.WRONG


def half(kind: CaseKind, *statuses: CaseStatus, status: Status = Status.OK, **more: Any) -> Verdict:
    speedup = 2.0 if kind is CaseKind.PERFORMANCE else None
    cases = tuple(
        CaseResult(args=f"{kind} {number}", kind=kind, status=one, speedup=speedup, message="" if one is PASSED else "off")
        for number, one in enumerate(statuses)
    )  # fmt: skip
    return Verdict(op="relu.default", language="triton", status=status, cases=cases, only=kind.value, **more)


def right(*statuses: CaseStatus, **more: Any) -> Verdict:
    return half(CaseKind.CORRECTNESS, *statuses, **more)


def fast(*statuses: CaseStatus, **more: Any) -> Verdict:
    return half(CaseKind.PERFORMANCE, *statuses, **more)


def test_scores_are_those_of_all_cases_in_their_order() -> None:
    verdict = halves.joined(right(PASSED, PASSED), fast(PASSED))
    assert [case.args for case in verdict.cases] == ["correctness 0", "correctness 1", "performance 0"]
    assert (verdict.status, verdict.correctness_score, verdict.reward) == (Status.OK, 1.0, pytest.approx(2.0))
    assert (verdict.correctness, verdict.performance) == (
        Tally(passed=2, total=2),
        Tally(passed=1, total=1),
    )
    assert verdict.only is None


def test_a_kernel_that_is_wrong_at_one_place_is_wrong_and_gains_no_speed() -> None:
    verdict = halves.joined(right(PASSED, WRONG, status=Status.WRONG), fast(PASSED))
    assert verdict.status is Status.WRONG
    assert verdict.message == "1 of 3 cases failed: off"
    assert verdict.correctness_score == pytest.approx(2 / 3)
    assert verdict.performance_score == 1.0


def test_what_is_wrong_only_on_the_right_card_counts_too() -> None:
    verdict = halves.joined(right(PASSED), fast(PASSED, WRONG, status=Status.WRONG))
    assert (verdict.status, verdict.correctness_score) == (Status.WRONG, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    "worse", [Status.CHEATED, Status.COMPILE_ERROR, Status.CRASHED, Status.TIMED_OUT, Status.ERROR]
)
def test_the_worse_status_is_the_verdicts(worse: Status) -> None:
    for verdict in (
        halves.joined(right(PASSED, status=worse, message="why"), fast(PASSED)),
        halves.joined(right(PASSED), fast(PASSED, status=worse, message="why")),
    ):
        assert (verdict.status, verdict.message) == (worse, "why")
        if worse in (Status.CHEATED, Status.COMPILE_ERROR):
            assert verdict.reward == 0
        if worse is Status.ERROR:
            assert (verdict.reward, verdict.correctness_score) == (None, None)


def test_evidence_notes_and_time_of_both_are_there_and_only_walls_that_both_had() -> None:
    first = right(
        PASSED, evidence=(Evidence(rule="a", detail=""),), notes=("x", "y"), wall_s=1.0,
        stages_s={"queue": 1.0, "check": 1.0}, sandbox=("seccomp", "landlock"),
    )  # fmt: skip
    second = fast(
        PASSED, evidence=(Evidence(rule="b", detail=""),), notes=("y",), wall_s=2.0,
        stages_s={"queue": 0.5, "timing": 2.0}, sandbox=("landlock",),
    )  # fmt: skip
    verdict = halves.joined(first, second)
    assert [evidence.rule for evidence in verdict.evidence] == ["a", "b"]
    assert verdict.notes == ("x", "y")
    assert verdict.stages_s == {"queue": 1.5, "check": 1.0, "timing": 2.0}
    assert (verdict.wall_s, verdict.sandbox) == (3.0, ("landlock",))


@pytest.mark.parametrize(
    ("status", "is_worth_it"),
    [(Status.OK, True), (Status.WRONG, True), (Status.NO_CASES, True), (Status.CRASHED, False),
     (Status.TIMED_OUT, False), (Status.CHEATED, False), (Status.COMPILE_ERROR, False), (Status.ERROR, False)],
)  # fmt: skip
def test_what_is_worth_timing(status: Status, is_worth_it: bool) -> None:
    assert halves.is_worth_timing(right(status=status)) is is_worth_it


def test_a_kernel_that_was_not_timed_fails_its_performance_cases() -> None:
    crashed = right(PASSED, CaseStatus.CRASHED, status=Status.CRASHED, message="died", sandbox=("seccomp",))
    verdict = halves.joined(crashed, halves.not_timed(crashed, ["one", "two"]))
    assert (verdict.status, verdict.message) == (Status.CRASHED, "died")
    assert (verdict.correctness_score, verdict.performance_score) == (0.25, 0.0)
    assert verdict.performance == Tally(passed=0, total=2)
    assert verdict.cases[-1].message == "not run: correctness ended with crashed"
    assert verdict.sandbox == ("seccomp",)


def test_an_operator_without_cases_of_one_kind_has_the_other_kinds_verdict() -> None:
    verdict = halves.joined(right(PASSED), fast(status=Status.NO_CASES, message="none"))
    assert (verdict.status, verdict.message, verdict.reward) == (Status.OK, "", 1.0)
