"""While a worker is waited for the judge does what it has to do anyway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.grading import oracle
from backend_bench.judge import awake, correctness, paused
from backend_bench.judge.aside import READ_S, Aside, done_meanwhile
from backend_bench.judge.bench import Bench
from backend_bench.judge.correctness import Ahead
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.stages import Stages
from backend_bench.leases import Lease
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.suites import open_suite
from backend_bench.verdict import Status


class Worker:
    """One that answers when it is told to."""

    listens = False

    def __init__(self) -> None:
        self.channel, other = wire.Channel.pair()
        self._other = wire.Channel(other)

    def answer(self) -> None:
        self._other.send(wire.Loaded())

    def close(self) -> None:
        self.channel.close()
        self._other.close()


@pytest.fixture
def worker() -> Iterator[Any]:
    made = Worker()
    yield made
    made.close()


def pieces(worker: Any, count: int, *, answered_at: int | None = None) -> tuple[list[int], Any]:
    done: list[int] = []

    def piece() -> bool:
        if len(done) == count:
            return False
        done.append(len(done))
        if len(done) == answered_at:
            worker.answer()
        return True

    return done, piece


def test_work_is_done_until_the_worker_answers(worker: Any) -> None:
    done, piece = pieces(worker, 9, answered_at=4)
    assert 0 < done_meanwhile(worker, 60.0, piece) <= 60.0
    assert done == [0, 1, 2, 3]


def test_work_that_ends_first_leaves_the_rest_of_the_time_for_waiting(worker: Any) -> None:
    done, piece = pieces(worker, 3)
    assert 59.0 < done_meanwhile(worker, 60.0, piece) <= 60.0
    assert done == [0, 1, 2]


def test_an_answer_is_read_that_came_while_the_judge_was_at_something_else(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(awake, "now", lambda: now)

    def slow() -> bool:
        nonlocal now
        now += 100.0
        worker.answer()
        return True

    assert done_meanwhile(worker, 60.0, slow) == READ_S


def test_who_steps_aside_works_as_well(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paused, "_found", {"works": True})
    lease = Lease("gpu", tmp_path)
    done, piece = pieces(worker, 9, answered_at=5)
    with lease.shared():
        assert 0 < Aside(lease, Stages(), lambda _: None).wait(worker, 60.0, piece) <= 60.0
    assert done == [0, 1, 2, 3, 4]


OP = Operator.parse("relu.default")
SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")


def ahead_of(count: int = 3) -> Ahead:
    bench: Any = SimpleNamespace(sharing=contextlib.nullcontext, stages=lambda _: contextlib.nullcontext())
    return Ahead(bench, open_suite(SPEC), OP, count, seed=5, profile="strict")


def results(expectation: oracle.Expectation) -> list[str]:
    """As text, in which NaN is like NaN."""
    return [
        repr(each.reference.tolist())
        for each in expectation.outputs
        if isinstance(each.reference, torch.Tensor)
    ]


def test_what_is_worked_out_ahead_is_what_is_worked_out_when_it_is_asked_for() -> None:
    early, late = ahead_of(), ahead_of()
    for _ in range(7):  # the draws, and six of them
        assert early.step()
    assert [each.purpose for each in early.attempts()] == [each.purpose for each in late.attempts()]
    for number in range(len(late.attempts())):
        one, other = early.expectation(number), late.expectation(number)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert results(one) == results(other)
        early.step()
    assert early._held_bytes == 0
    assert not early.step()


def test_no_more_is_held_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness, "AHEAD_BYTES", 0)
    ahead = ahead_of()
    assert ahead.step()
    while ahead.step():  # draws without an element
        pass
    assert ahead._held_bytes == 0
    assert ahead._next < len(ahead.attempts())


def test_what_nobody_can_judge_is_told_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise oracle.Unjudgeable("random")

    ahead = ahead_of()
    monkeypatch.setattr(correctness, "expectation_of", refused)
    assert ahead.step()
    assert ahead.step()
    for number in (0, 1):
        with pytest.raises(oracle.Unjudgeable):
            ahead.expectation(number)


def test_a_fault_of_the_judge_is_told_when_what_it_concerns_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not to whoever waits for a worker: its file may not even load."""

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError("no room for the draws")

    ahead = ahead_of()
    monkeypatch.setattr(correctness, "draw_all", no_memory)
    assert not ahead.step()
    assert not ahead.step()
    with pytest.raises(MemoryError):
        ahead.attempts()


@pytest.mark.slow
def test_a_submission_of_a_slow_import_loses_nothing(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn while the file is imported is what is judged."""
    steps: list[bool] = []
    step = Ahead.step

    def counted(self: Ahead) -> bool:
        steps.append(self._attempts is None)
        return step(self)

    monkeypatch.setattr(Ahead, "step", counted)
    source = "import time, torch\ntime.sleep(0.5)\ndef relu__default_kernel_impl(x):\n    return torch.clamp_min(x, 0)\n"
    verdict = own_judge.judge(Submission(op=OP, source=source, suite=SPEC, only="correctness"))
    assert verdict.status is Status.OK, verdict
    assert steps[0]
    assert not any(steps[1:])
    assert len(steps) > 10


def test_a_form_of_a_case_has_the_time_of_a_first_call(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that tunes itself for each shape needed more than ten seconds for a draw of another one, or for a shape that is timed, and
    was refused."""
    limits: dict[str, set[float]] = {"first": set(), "further": set()}
    limit_of = Bench._limit
    met: set[tuple[object, str]] = set()

    def noted(self: Bench, keeper: Keeper, case: object, form: str = "") -> float:
        limit_s = limit_of(self, keeper, case, form)
        if keeper is self._candidate:
            limits["further" if (case, form) in met else "first"].add(limit_s)
            met.add((case, form))
        return limit_s

    monkeypatch.setattr(Bench, "_limit", noted)
    source = "import torch\ndef relu__default_kernel_impl(x):\n    return torch.clamp_min(x, 0)\n"
    verdict = own_judge.judge(
        Submission(op=OP, source=source, suite=SPEC, limits=Limits(call_s=50, first_call_s=70))
    )
    assert verdict.status is Status.OK, verdict
    assert {"", "longer", "restrided"} <= {form.partition(" ")[0] for _, form in met}
    assert any(case[0] == "timed" for case, _ in met if isinstance(case, tuple))
    assert limits == {"first": {70.0}, "further": {50.0}}
