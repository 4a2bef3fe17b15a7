"""The time of a submission is accounted for: every moment has one stage."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from backend_bench.judge.stages import Stages
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

from ..conftest import Judge

HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()


def test_each_moment_belongs_to_the_innermost_stage() -> None:
    ticks = itertools.count()
    stages = Stages(now=lambda: float(next(ticks)))
    with stages("load"), stages("fork"):
        pass
    with pytest.raises(ZeroDivisionError), stages("run"):
        _ = 1 / 0
    assert stages.spent_s() == {"other": 3.0, "load": 2.0, "fork": 1.0, "run": 1.0}


@pytest.mark.slow
def test_the_stages_of_a_verdict_add_up_to_its_time(judge: Judge) -> None:
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    verdict = judge(Submission(op=Operator.parse("relu"), source=HONEST, suite=spec))
    assert verdict.status is Status.OK, verdict.message
    told = dict(verdict.stages_s)
    assert told.pop("queue") >= 0
    assert sum(told.values()) == pytest.approx(verdict.wall_s, abs=1e-4)
    assert {"fork", "load", "draw", "oracle", "first_calls", "run", "check", "timing"} <= set(told)
