"""Phase one, its second part: does it refuse what ATen refuses?

A kernel passes an error input by raising any Python exception. One that dies, hangs or gives an answer does not, nor
one that passes no ordinary case: what raises at everything has refused nothing. Values are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend_bench.judge import correctness
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.keeper import Ended
from backend_bench.operator import Operator
from backend_bench.suites import Suite
from backend_bench.suites.arguments import parse
from backend_bench.suites.trials import refusal_of_form
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus


def run(
    bench: Bench, suite: Suite, op: Operator, texts: Sequence[str], phase: correctness.Phase, *, seed: int
) -> list[CaseResult]:
    """Call each once. `phase` is what the ordinary cases came to, and learns how the worker ended."""
    if not texts:
        return []
    results: list[CaseResult] = []
    calls = suite.draws(op, CaseKind.ERROR_INPUT, seed)
    for number, (text, call) in enumerate(zip(texts, calls, strict=True)):
        assert call is not None, "an error input has its shapes from its text"
        if phase.compile_error or (phase.ended is not None and bench.give_up(phase.ended)):
            results.append(_result(text, CaseStatus.NOT_RUN, "not run: the worker was gone"))
            continue
        try:
            keeper = bench.candidate()
            with bench.sharing(), bench.stages("run"):
                claims = bench.call(keeper, ("error input", number), call, ()).claims
        except CompileFailed as error:
            phase.compile_error = str(error)
            results.append(_result(text, CaseStatus.NOT_RUN, "not run: the file did not load again"))
            continue
        except Ended as error:
            phase.ended = phase.ended or error
            results.append(_result(text, correctness.status_of(error), str(error)))
            continue
        lost = correctness.lost_process(claims)
        if lost:
            phase.ended = phase.ended or lost
            bench.discard()
            results.append(_result(text, CaseStatus.CRASHED, str(lost)))
        elif claims.error:
            results.append(_result(text, CaseStatus.PASSED))
        else:
            results.append(_result(text, CaseStatus.WRONG, _unheeded(op, text)))
    return results if any(case.passed for case in phase.results) else [_undone(case) for case in results]


def _unheeded(op: Operator, text: str) -> str:
    return f"the kernel returned; it must raise an exception, as PyTorch does: {refusal_of_form(op, parse(text))}"


def _undone(case: CaseResult) -> CaseResult:
    if not case.passed:
        return case
    message = "the kernel raises here, but passes no case that it should take"
    return replace(case, status=CaseStatus.WRONG, message=message)


def _result(text: str, status: CaseStatus, message: str = "") -> CaseResult:
    return CaseResult(args=text, kind=CaseKind.ERROR_INPUT, status=status, message=message)
