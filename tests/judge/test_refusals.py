"""Error inputs: a kernel has to raise where ATen raises, and raising everywhere earns nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from backend_bench.cases import Call, SuiteIndex
from backend_bench.judge import judge as judges
from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.suites.error_inputs import draw_error_input
from backend_bench.suites.smoke import SmokeSuite
from backend_bench.verdict import CaseKind, CaseStatus, Status, Tally, Verdict

MM = Operator.parse("mm")
SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")
REFUSED = ("((T([2, 3], f32), T([4, 5], f32)), {})", "((T([2], f32), T([2, 2], f32)), {})")
RIGHT = "return (a.unsqueeze(2) * b.unsqueeze(0)).sum(1)"


class Refusing(SmokeSuite):
    """Two cases of `mm`, and two calls that it refuses."""

    def index(self) -> SuiteIndex:
        index = super().index()
        entry = index.entries[str(MM)]
        few = dataclasses.replace(
            entry, correctness=entry.correctness[:2], performance=(), error_inputs=REFUSED
        )
        return dataclasses.replace(index, entries={str(MM): few})

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        if kind is not CaseKind.ERROR_INPUT:
            yield from list(super().draws(op, kind, seed))[:2]
            return
        for text in REFUSED:
            yield draw_error_input(op, text, "cpu", seed)


@pytest.fixture(scope="module")
def judged() -> Iterator[Judge]:
    made = Zygotes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "open_suite", Refusing)
        with Judge(torch.device("cpu"), made) as judge:
            yield judge
    made.close()


def verdict_of(judge: Judge, body: str, *, kind: str = "candidate") -> Verdict:
    source = f"import os, torch\ndef mm__default_kernel_impl(a, b):\n    {body}\n" if body else ""
    return judge.judge(
        Submission(op=MM, source=source, suite=SPEC, kind=kind, limits=Limits(call_s=5, first_call_s=5))  # type: ignore[arg-type]
    )


def refused(verdict: Verdict) -> list[CaseStatus]:
    return [case.status for case in verdict.cases if case.kind is CaseKind.ERROR_INPUT]


@pytest.mark.slow
def test_a_kernel_that_raises_what_it_likes_passes(judged: Judge) -> None:
    checked = f"assert a.dim() == 2 and a.shape[1] == b.shape[0]; {RIGHT}"
    verdict = verdict_of(judged, checked)
    assert verdict.status is Status.OK, verdict.message
    assert verdict.correctness == Tally(passed=4, total=4)


def test_aten_passes(judged: Judge) -> None:
    assert verdict_of(judged, "", kind="reference").status is Status.OK


def test_an_answer_where_there_is_none_is_wrong(judged: Judge) -> None:
    verdict = verdict_of(judged, f"if a.dim() < 2: return a\n    {RIGHT}")
    assert refused(verdict) == [CaseStatus.PASSED, CaseStatus.WRONG]
    assert verdict.status is Status.WRONG
    assert "must raise an exception, as PyTorch does: " in verdict.message
    assert verdict.correctness_score == 0.75


def test_what_raises_at_everything_has_refused_nothing(judged: Judge) -> None:
    verdict = verdict_of(judged, "raise ValueError('no')")
    assert refused(verdict) == [CaseStatus.WRONG, CaseStatus.WRONG]
    assert verdict.reward == 0


def test_a_crash_is_no_exception(judged: Judge) -> None:
    verdict = verdict_of(judged, f"if a.dim() < 2: os.abort()\n    {RIGHT}")
    assert verdict.status is Status.CRASHED
    assert refused(verdict) == [CaseStatus.PASSED, CaseStatus.CRASHED]


def test_what_does_not_load_counts_all_cases(judged: Judge) -> None:
    verdict = verdict_of(judged, "return (")
    assert verdict.status is Status.COMPILE_ERROR
    assert refused(verdict) == [CaseStatus.NOT_RUN, CaseStatus.NOT_RUN]
