"""A candidate is called once more in a worker that listens; here without a GPU, where that worker hears nothing and says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from backend_bench.cases import Call, SuiteIndex
from backend_bench.judge import judge as judges
from backend_bench.judge import performance
from backend_bench.judge.audit import Operators
from backend_bench.judge.bench import Bench
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Crashed, Keeper
from backend_bench.judge.listening import Findings
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.suites.smoke import SmokeSuite
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Verdict
from backend_bench.wire import HEARING, Heard, Kernel

MM = Operator.parse("mm")
SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")
COUNT = 6
TIMED = 2
RIGHT = "torch.bmm(a[None], b[None])[0]"


class Few(SmokeSuite):
    """Six cases of `mm`, more than are heard, and some that are timed."""

    def index(self) -> SuiteIndex:
        index = super().index()
        entry = index.entries[str(MM)]
        few = dataclasses.replace(
            entry, correctness=entry.correctness[:COUNT], performance=entry.performance[:TIMED]
        )
        return dataclasses.replace(index, entries={str(MM): few})

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        yield from list(super().draws(op, kind, seed))[: COUNT if kind is CaseKind.CORRECTNESS else TIMED]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    made, begin = Zygotes(), Bench.__init__

    def listening(self: Bench, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.can_listen = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "open_suite", Few)
        patch.setattr(Bench, "__init__", listening)
        with Judge(torch.device("cpu"), made) as judge:
            yield judge
    made.close()


def verdict_of(judge: Judge, body: str, head: str = "") -> Verdict:
    """Of a kernel that knows when it is listened to, by what this package has in its process."""
    source = (
        "import os, sys, time, torch\n"
        "calls = {}\n"
        'heard = "CUPTI" in sys.modules["backend_bench.worker.driver"].DRIVER.lack\n'
        f"{head}\n"
        f"def mm__default_kernel_impl(a, b):\n    {body}\n    return {RIGHT}\n"
    )
    return judge.judge(Submission(op=MM, source=source, suite=SPEC, limits=Limits(call_s=5, first_call_s=5)))


def statuses(verdict: Verdict, kind: CaseKind) -> list[CaseStatus]:
    return [case.status for case in verdict.cases if case.kind is kind]


def test_an_honest_kernel_is_called_once_more_and_that_nobody_heard_it_is_said(judge: Judge) -> None:
    verdict = verdict_of(judge, "pass")
    assert verdict.status is Status.OK, verdict
    assert verdict.stages_s["listen"] > 0
    [note] = [note for note in verdict.notes if "heard" in note]
    assert "PyTorch has brought no CUPTI" in note
    assert not any("gpu-kernels" in wall for wall in verdict.sandbox)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("assert not heard", Status.WRONG),
        ("heard and os._exit(3)", Status.CRASHED),
        ("if heard and a.shape[0] < 100: os._exit(3)", Status.CRASHED),
        ("if heard: raise RuntimeError('CUDA error: made up')", Status.CRASHED),
        ("while heard: pass", Status.TIMED_OUT),
    ],
    ids=["raises", "ends", "ends elsewhere", "breaks its device", "hangs"],
)
def test_who_does_not_want_to_be_heard_fails(judge: Judge, body: str, status: Status) -> None:
    verdict = verdict_of(judge, body)
    assert verdict.status is status
    if "shape" in body:  # what is timed was heard before
        assert statuses(verdict, CaseKind.CORRECTNESS).count(CaseStatus.PASSED) < COUNT
    else:
        assert CaseStatus.PASSED not in statuses(verdict, CaseKind.PERFORMANCE)
        assert not verdict.reward


def test_a_wrong_answer_to_a_call_that_is_timed_is_heard_too(judge: Judge) -> None:
    verdict = verdict_of(judge, "if heard and a.shape[0] > 100: return a.new_zeros(a.shape[0], b.shape[1])")
    assert verdict.status is Status.WRONG
    assert statuses(verdict, CaseKind.CORRECTNESS) == [CaseStatus.PASSED] * COUNT
    assert statuses(verdict, CaseKind.PERFORMANCE) == [CaseStatus.WRONG] * TIMED
    assert all(case.message.startswith("called once more") for case in timed(verdict))


def timed(verdict: Verdict) -> list[CaseResult]:
    return [case for case in verdict.cases if case.kind is CaseKind.PERFORMANCE]


SLOW = f"for _ in range(30 * (heard and a.shape[0] > 100)): {RIGHT}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (SLOW, Status.OK),
        ("if heard and a.shape[0] > 100: time.sleep(0.3)", Status.OK),
        (f"if heard and a.shape[0] < 100: os._exit(3)\n    {SLOW}", Status.CRASHED),
    ],
    ids=["slow", "longer than a round", "slow, and ends elsewhere"],
)
def test_who_is_slower_where_he_is_heard_has_that_time(judge: Judge, body: str, status: Status) -> None:
    slow = verdict_of(judge, body)
    assert slow.status is status
    assert [each.rule for each in slow.evidence].count("slower_when_heard") == TIMED
    for case in timed(slow):
        assert case.passed
        assert case.speedup is not None
        assert case.speedup < 0.3
        assert case.candidate_us is not None
        assert case.reference_us is not None
        assert case.candidate_us > 3 * case.reference_us


LATER = (
    "calls[a.shape] = calls.get(a.shape, 0) + 1\n    if heard and a.shape[0] > 100 and calls[a.shape] > 1: "
)
"""In all calls of a shape that is timed but the first."""


def test_what_is_timed_where_it_is_heard_is_checked(judge: Judge) -> None:
    verdict = verdict_of(judge, f"{LATER}return a.new_zeros(a.shape[0], b.shape[1])")
    assert statuses(verdict, CaseKind.PERFORMANCE) == [CaseStatus.WRONG] * TIMED
    for case in timed(verdict):
        assert case.message.startswith("called once more, to hear which kernels run: in a timed call: ")
        assert case.speedup is None


@pytest.mark.parametrize(
    ("does", "status"),
    [("os._exit(3)", Status.CRASHED), ("raise ValueError", Status.WRONG)],
    ids=["ends", "raises"],
)
def test_who_fails_while_he_is_timed_and_heard_has_no_time(judge: Judge, does: str, status: Status) -> None:
    verdict = verdict_of(judge, f"{LATER}{does}")
    assert verdict.status is status
    assert CaseStatus.PASSED not in statuses(verdict, CaseKind.PERFORMANCE)
    assert not verdict.performance_score or verdict.performance_score <= 1


@pytest.fixture
def born_to_listen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A worker that begins to listen late hears nothing here, and does not say so. Grows with each that listens from its birth."""
    listen, listening, born = Keeper.listen, Bench.listening, []

    def silent(self: Keeper, *, limit_s: float) -> str:
        assert "CUPTI" in listen(self, limit_s=limit_s)
        return ""

    def noted(self: Bench) -> Any:
        born.append("one")
        return listening(self)

    monkeypatch.setattr(Keeper, "listen", silent)
    monkeypatch.setattr(Bench, "listening", noted)
    monkeypatch.setattr(performance, "LONGER", 8.0)  # other work on this machine slows nobody so much
    return born


def test_the_worker_that_was_timed_will_do_where_nothing_speaks_against_the_kernel(
    judge: Judge, born_to_listen: list[str]
) -> None:
    verdict = verdict_of(judge, "calls[heard] = 1\n    assert len(calls) == 1")  # the file is loaded anew
    assert verdict.status is Status.OK, verdict
    assert verdict.stages_s["listen"] > 0
    assert not born_to_listen


TWICE = 'twice, sys.loaded = hasattr(sys, "loaded"), True'
"""Whether the file is loaded the second time in a process."""


@pytest.mark.parametrize(
    "body",
    [
        "assert not twice",
        "if twice and a.shape[0] < 100: raise ValueError",
        "if twice: os._exit(3)",
        "if twice: return a.new_zeros(a.shape[0], b.shape[1])",
        f"for _ in range(30 * (twice and a.shape[0] > 100)): {RIGHT}",
    ],
    ids=["raises", "raises elsewhere", "ends", "wrong", "slow"],
)
def test_what_speaks_against_a_kernel_there_decides_nothing(
    judge: Judge, born_to_listen: list[str], body: str
) -> None:
    verdict = verdict_of(judge, body, TWICE)
    assert verdict.status is Status.OK, verdict
    assert born_to_listen == ["one"]


def test_nor_does_a_file_that_loads_once_in_a_process(judge: Judge, born_to_listen: list[str]) -> None:
    verdict = verdict_of(judge, "pass", f"{TWICE}\nassert not twice")
    assert verdict.status is Status.OK, verdict
    assert born_to_listen == ["one"]


def test_who_fails_wherever_he_is_heard_fails(judge: Judge, born_to_listen: list[str]) -> None:
    assert verdict_of(judge, "assert not heard").status is Status.WRONG
    assert born_to_listen == ["one"]


@pytest.mark.parametrize(
    ("findings", "is_clean"),
    [
        (Findings([], [], []), True),
        (Findings([Operators((), heard=Heard((Kernel(name="mine", launches=1),)))], [], []), True),
        (Findings([Operators(())] * 2 + [Operators((), heard=Heard(has_strangers=True))], [], []), False),
        (Findings([], [CaseResult(args="", kind=CaseKind.CORRECTNESS, status=CaseStatus.WRONG)], []), False),
        (Findings([], [], [Evidence(rule="foreign_kernel", detail="")]), False),
        (Findings([], [], [], ended=Crashed()), False),
        (Findings([], [], [], compile_error="no"), False),
    ],
)
def test_what_speaks_against_a_kernel(findings: Findings, is_clean: bool) -> None:
    assert findings.is_clean == is_clean


def test_a_cpu_has_no_kernels_that_could_be_heard(judge: Judge) -> None:
    walls = judge.walls()
    assert not any(HEARING in wall for wall in (*walls["holds"], *walls["missing"]))


@pytest.mark.gpu
def test_walls_tell_whether_a_gpus_kernels_are_heard() -> None:
    made = Zygotes()
    with Judge(torch.device("cuda"), made) as judge:
        assert HEARING in judge.walls()["holds"]
    made.close()


def test_a_file_that_loads_only_once_does_not_compile(judge: Judge) -> None:
    verdict = judge.judge(
        Submission(
            op=MM,
            source='import sys, torch\nassert "CUPTI" not in sys.modules["backend_bench.worker.driver"].DRIVER.lack\n'
            f"def mm__default_kernel_impl(a, b):\n    return {RIGHT}\n",
            suite=SPEC,
        )
    )
    assert verdict.status is Status.COMPILE_ERROR
    assert verdict.reward == 0
