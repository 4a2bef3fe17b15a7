"""Our own parts may die: the submission is judged all the same, and nobody is blamed for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from backend_bench.errors import UsageError
from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")
RELU = Operator.parse("relu")


@pytest.fixture
def zygotes() -> Iterator[Zygotes]:
    made = Zygotes()
    yield made
    made.close()


@pytest.fixture
def own_judge(zygotes: Zygotes) -> Iterator[Judge]:
    with Judge(torch.device("cpu"), zygotes) as judge:
        yield judge


@pytest.mark.slow
def test_a_dead_zygote_is_replaced_and_the_submission_judged_again(
    own_judge: Judge, zygotes: Zygotes
) -> None:
    victim = zygotes.of("native")
    kill = threading.Timer(0.3, os.kill, (victim.pid, signal.SIGKILL))
    kill.start()
    verdict = own_judge.judge(Submission(op=RELU, source=HONEST, suite=SPEC))
    kill.join()
    assert verdict.status is Status.OK, verdict.message


@pytest.mark.slow
def test_a_zygote_that_was_dead_before_is_replaced(own_judge: Judge, zygotes: Zygotes) -> None:
    os.kill(zygotes.of("native").pid, signal.SIGKILL)
    verdict = own_judge.judge(Submission(op=RELU, source=HONEST, suite=SPEC, only="correctness"))
    assert verdict.status is Status.OK, verdict.message
    assert verdict.performance_score is None
    assert verdict.reward is None


def test_the_reference_carries_no_source(own_judge: Judge) -> None:
    """No request can ask for an exemption from the rules."""
    with pytest.raises(UsageError, match="no source"):
        own_judge.judge(Submission(op=RELU, source=HONEST, suite=SPEC, kind="reference"))


def test_an_operator_without_cases_is_no_failure(own_judge: Judge) -> None:
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    with pytest.raises(UsageError, match="no operator"):
        own_judge.judge(Submission(op=Operator.parse("dropout"), source=HONEST, suite=spec))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_findings(own_judge: Judge) -> None:
    submission = Submission(
        op=RELU, source=HONEST.replace("x > 0", "x > 0.05"), suite=SPEC, seed=7, only="correctness"
    )
    one, two = own_judge.judge(submission), own_judge.judge(submission)
    assert one.status is Status.WRONG
    assert one.cases == two.cases
