"""Several processes look at samples as one does, and one that dies is told of."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from backend_bench.errors import JudgeError
from backend_bench.leases import Lease
from backend_bench.suites import surveyors
from backend_bench.suites.findings import Findings
from backend_bench.suites.surveyors import Question, Surveyors

NAMES = ("sigmoid/", "mul/", "where/", "nn.functional.silu/", "cat/", "einsum/", "no_such_info/")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveyors, "FEW", 0)


@pytest.mark.slow
def test_many_answer_as_one_does() -> None:
    questions = [Question(name, "float32") for name in NAMES]
    alone = [question.answer("cpu") for question in questions]
    assert sum(len(findings.cases) for findings in alone) > 100
    again = [
        Question(question.name, question.dtype, tuple(findings.cases))
        for question, findings in zip(questions, alone, strict=True)
    ]
    with Surveyors("cpu", 2) as side_by_side:
        assert list(side_by_side.ask(questions)) == alone
        assert list(side_by_side.ask(again)) == [question.answer("cpu") for question in again]


@pytest.mark.slow
def test_one_that_dies_is_told_of() -> None:
    with Surveyors("cpu", 2) as side_by_side:
        question = Question("sigmoid/", "float32")
        assert len(list(side_by_side.ask([question]))) == 1
        for surveyor in side_by_side._started:
            surveyor._process.kill()
        with pytest.raises(JudgeError, match=f"samples of sigmoid/ in float32 ended with {-signal.SIGKILL}"):
            list(side_by_side.ask([question]))


def test_samples_are_looked_at_while_nobody_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lease, seen = Lease("cpu", tmp_path), []

    def reached(name: str, dtype: str, device: str) -> Findings:
        seen.append(Lease("cpu", tmp_path).state())
        return Findings([], [])

    monkeypatch.setattr(surveyors, "Lease", {"cpu": lease}.__getitem__)
    monkeypatch.setattr(surveyors, "reached", reached)
    Question("sigmoid/", "float32").answer("cpu")
    assert seen == ["shared"]
    assert lease.state() == "idle"


def test_all_are_gone_afterwards() -> None:
    with Surveyors("cpu", 2) as side_by_side:
        side_by_side._started.append(surveyors._Surveyor("cpu"))
        [started] = side_by_side._started
        assert started._process.poll() is None
    assert started._process.poll() == -signal.SIGKILL
