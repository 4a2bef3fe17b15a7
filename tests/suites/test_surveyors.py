"""Several processes look at samples as one does, and one that dies is told of."""

from __future__ import annotations

import os
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


def ends(question: Question, device: str) -> Findings:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError(question, device)


@pytest.mark.slow
def test_one_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question("sigmoid/", "float32")
    with Surveyors("cpu", 2) as side_by_side:
        with monkeypatch.context() as patch:
            patch.setattr(surveyors, "answer", ends)
            with pytest.raises(
                JudgeError, match="samples of sigmoid/ in float32: the process was ended by SIGKILL"
            ):
                list(side_by_side.ask([question]))
        assert len(list(side_by_side.ask([question]))) == 1


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
