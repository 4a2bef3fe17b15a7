"""What a turn came to, in BackendBench's terms: its `FeedbackInfo`, made from a verdict.

Same fields and meaning as in that project (`backends/llm.py`, `eval.py`), with three differences: nothing is correct
where nothing was run; scores are this package's own, and finite; `overall_speedup` is a geometric mean. What a model is told
of it is said in `feedback`; these rows are for programs, tolerances and all.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend_bench.dialogue import complaints
from backend_bench.verdict import CaseKind, CaseResult, Status, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectnessTestResult:
    """One correctness case."""

    op_name: str
    args: str
    is_correct: bool
    error_msg: str = ""
    error_type: str = ""
    traceback: str = ""
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    test_type: str = "correctness"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceTestResult:
    """One performance case; times in milliseconds."""

    op_name: str
    args: str
    speedup: float | None
    benchmark_time_ms: float | None
    reference_time_ms: float | None
    error_msg: str = ""
    successfully_ran: bool = False
    test_type: str = "performance"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackInfo:
    """A turn's outcome."""

    compilation_error: str | None = None
    """Why the kernel could not be loaded or compiled."""
    correctness_results: tuple[CorrectnessTestResult, ...] = ()
    """Every correctness case."""
    performance_results: tuple[PerformanceTestResult, ...] = ()
    """Every performance case."""
    summary: str = ""
    """One line: how many tests passed."""
    verdict: Verdict
    """What it was made from: evidence, notes and scores are there."""
    kernel_code: str = ""
    """The kernel's text, of which complaints quote lines."""

    @classmethod
    def of(cls, verdict: Verdict, kernel_code: str = "") -> FeedbackInfo:
        """The outcome that a verdict tells."""
        return cls(
            compilation_error=_compilation_error(verdict, kernel_code),
            correctness_results=tuple(
                _correctness(verdict.op, case, kernel_code)
                for case in verdict.cases
                if case.kind is not CaseKind.PERFORMANCE  # what must be refused is a matter of being right
            ),
            performance_results=tuple(
                _performance(verdict.op, case) for case in verdict.cases if case.kind is CaseKind.PERFORMANCE
            ),
            summary=_summary(verdict),
            verdict=verdict,
            kernel_code=kernel_code,
        )

    @property
    def is_correct(self) -> bool:
        """Whether it was judged and every test passed."""
        return self.verdict.status is Status.OK

    @property
    def correctness_score(self) -> float:
        """Passed cases of both kinds / all of them; 0 where it did not compile or broke the rules."""
        return self.verdict.correctness_score or 0.0

    @property
    def performance_score(self) -> float:
        """The verdict's; 0 where nothing was timed."""
        return self.verdict.performance_score or 0.0 if self.performance_results else 0.0

    @property
    def overall_speedup(self) -> float:
        """Geometric mean of the speed-ups over all performance cases, by the verdict's rule for failed ones."""
        return self.performance_score


def _compilation_error(verdict: Verdict, code: str) -> str | None:
    if verdict.status is not Status.COMPILE_ERROR:
        return None
    return complaints.trimmed(verdict.message, code) or "the kernel could not be loaded or compiled"


def _correctness(op: str, case: CaseResult, code: str) -> CorrectnessTestResult:
    message, _, trace = case.message.partition("\n")
    return CorrectnessTestResult(
        op_name=op,
        args=case.args,
        is_correct=case.passed,
        error_msg=message,
        error_type="" if case.passed else case.status.value,
        traceback=complaints.trimmed(trace, code) if trace else "",
        max_abs_error=case.max_abs_error,
        max_rel_error=case.max_rel_error,
    )


def _performance(op: str, case: CaseResult) -> PerformanceTestResult:
    return PerformanceTestResult(
        op_name=op,
        args=case.args,
        speedup=case.speedup,
        benchmark_time_ms=None if case.candidate_us is None else case.candidate_us / 1e3,
        reference_time_ms=None if case.reference_us is None else case.reference_us / 1e3,
        error_msg=case.message,
        successfully_ran=case.passed,
    )


def _summary(verdict: Verdict) -> str:
    if verdict.status is Status.COMPILE_ERROR:
        return "Compilation failed"
    tallies = (verdict.correctness, verdict.performance)
    return f"{sum(tally.passed for tally in tallies)}/{sum(tally.total for tally in tallies)} tests passed"
