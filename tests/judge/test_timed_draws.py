"""What timed calls are given."""

from __future__ import annotations

from typing import Any

import pytest

from backend_bench.cases import Call
from backend_bench.grading import spikes
from backend_bench.judge import performance
from backend_bench.judge.judge import Judge
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status


def test_in_half_of_the_timed_calls_single_elements_decide(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, made = [], []
    draw, spike = performance.Timing._drawn, spikes.spike

    def noted(timing: performance.Timing, case: int) -> tuple[Call, ...]:
        drawn.extend(calls := draw(timing, case))
        return calls

    def with_spikes(*arguments: Any) -> bool:
        made.append(spike(*arguments))
        return made[-1]

    monkeypatch.setattr(performance.Timing, "_drawn", noted)
    monkeypatch.setattr(spikes, "spike", with_spikes)
    suite = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    op = Operator.parse("sum.dim_IntList")
    verdict = own_judge.judge(Submission(op=op, kind="reference", suite=suite, only="performance", seed=5))
    assert verdict.status is Status.OK
    assert all(made)
    assert 0.25 < len(made) / len(drawn) < 0.75
