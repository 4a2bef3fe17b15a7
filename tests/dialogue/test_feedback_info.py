"""`FeedbackInfo` has BackendBench's fields and meaning."""

from __future__ import annotations

from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Tally, Verdict

CASES = (
    CaseResult(args="(a)", kind=CaseKind.CORRECTNESS, status=CaseStatus.PASSED, max_abs_error=0.5),
    CaseResult(
        args="(b)",
        kind=CaseKind.CORRECTNESS,
        status=CaseStatus.RAISED,
        message="the kernel raised ValueError: no\n  line 3, in f: raise ValueError('no')",
    ),
    CaseResult(
        args="(c)",
        kind=CaseKind.PERFORMANCE,
        status=CaseStatus.PASSED,
        reference_us=2000.0,
        candidate_us=1000.0,
        speedup=2.0,
    ),
)


def verdict(status: Status, **more: object) -> Verdict:
    facts: dict[str, object] = {
        "cases": CASES,
        "correctness": Tally(passed=1, total=2),
        "performance": Tally(passed=1, total=1),
        "correctness_score": 2 / 3,
        "performance_score": 1.0,
    }
    return Verdict(op="relu.default", language="triton", status=status, **{**facts, **more})  # type: ignore[arg-type]


def test_results_are_backendbenchs() -> None:
    info = FeedbackInfo.of(verdict(Status.WRONG))
    first, second = info.correctness_results
    assert (first.op_name, first.args, first.is_correct, first.max_abs_error) == (
        "relu.default",
        "(a)",
        True,
        0.5,
    )
    assert (second.is_correct, second.error_type) == (False, "raised")
    assert second.error_msg == "the kernel raised ValueError: no"
    assert "line 3" in second.traceback
    (timed,) = info.performance_results
    assert (timed.speedup, timed.benchmark_time_ms, timed.reference_time_ms) == (2.0, 1.0, 2.0)
    assert timed.successfully_ran
    assert info.compilation_error is None
    assert info.summary == "2/3 tests passed"
    assert (info.is_correct, info.correctness_score, info.overall_speedup) == (False, 2 / 3, 1.0)


def test_a_kernel_that_does_not_compile() -> None:
    info = FeedbackInfo.of(
        verdict(
            Status.COMPILE_ERROR,
            cases=(),
            message="SyntaxError: no",
            correctness_score=0.0,
            performance_score=0.0,
        )
    )
    assert info.compilation_error == "SyntaxError: no"
    assert info.summary == "Compilation failed"
    assert (info.is_correct, info.correctness_score, info.overall_speedup) == (False, 0.0, 0.0)


def test_nothing_is_correct_where_nothing_was_run() -> None:
    assert not FeedbackInfo.of(verdict(Status.NO_CASES, cases=(), correctness_score=None)).is_correct
    assert FeedbackInfo.of(verdict(Status.OK)).is_correct
