"""Two places, one verdict: the second is asked for what is worth it, on its own device, and for nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backend_bench.cases import Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.executors import choose, mixed
from backend_bench.executors.scripted import ScriptedExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Verdict

from ..conftest import Judge
from ..fifty import likeness

RELU = Operator.parse("relu")
HERE, THERE = "cpu", "http://gpu-host:8700"
DEVICES: dict[str, Device] = {HERE: "cpu", THERE: "cuda"}
SMOKE = SuiteSpec(name="smoke", device="cuda", dtype="float32")


def index(device: Device, correctness: int, performance: int) -> SuiteIndex:
    entry = Entry(
        op="relu.default",
        correctness=tuple(f"{device} c{n}" for n in range(correctness)),
        performance=tuple(f"{device} p{n}" for n in range(performance)),
    )
    spec = SuiteSpec(name="smoke", device=device)
    return SuiteIndex(spec=spec, source="by hand", torch="2", entries={"relu.default": entry})


class Two:
    """Both places, scripted; the first says `status`."""

    def __init__(self) -> None:
        self.status = Status.OK
        self.places = {
            HERE: ScriptedExecutor(lambda asked: self._verdict(asked, self.status), index("cpu", 3, 1)),
            THERE: ScriptedExecutor(lambda asked: self._verdict(asked, Status.OK), index("cuda", 2, 4)),
        }

    @staticmethod
    def _verdict(asked: Submission, status: Status) -> Verdict:
        case = CaseResult(
            args=f"on {asked.suite.device}", kind=CaseKind(asked.only), status=CaseStatus.PASSED, speedup=3.0
        )
        return Verdict(op=str(asked.op), language="triton", status=status, cases=(case,), only=asked.only)

    def asked(self, place: str) -> list[tuple[str | None, str]]:
        return [(one.only, one.suite.device) for one in self.places[place].submissions]

    def submit(self, **more: object) -> Verdict:
        async def told() -> Verdict:
            executor = mixed.executor(choose.place("local", HERE, THERE))
            return await executor.submit(Submission(op=RELU, suite=SMOKE, **more))  # type: ignore[arg-type]

        return asyncio.run(told())


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Two:
    found = Two()
    monkeypatch.setattr(choose, "choose", found.places.__getitem__)
    monkeypatch.setattr(choose, "device", DEVICES.__getitem__)
    monkeypatch.setattr(choose, "read_index", lambda gpu, spec: found.places[gpu].read_index(spec))
    return found


def test_each_place_judges_its_half_on_its_own_device(two: Two) -> None:
    verdict = two.submit()
    assert two.asked(HERE) == [("correctness", "cpu")]
    assert two.asked(THERE) == [("performance", "cuda")]
    assert [case.args for case in verdict.cases] == ["on cpu", "on cuda"]
    assert (verdict.status, verdict.performance_score) == (Status.OK, pytest.approx(3.0))
    assert verdict.notes == (f"correctness was judged on {HERE}, performance on {THERE}",)


def test_a_crash_at_the_first_costs_nothing_at_the_second(two: Two) -> None:
    two.status = Status.CRASHED
    verdict = two.submit()
    assert two.asked(THERE) == []
    assert verdict.status is Status.CRASHED
    assert verdict.performance.total == 4
    assert {case.args for case in verdict.cases[1:]} == {f"cuda p{n}" for n in range(4)}


@pytest.mark.parametrize(("only", "place"), [("correctness", HERE), ("performance", THERE)])
def test_a_half_alone_goes_to_its_place_alone(two: Two, only: str, place: str) -> None:
    two.submit(only=only)
    assert {one: len(two.asked(one)) for one in DEVICES} == {HERE: 0, THERE: 0, place: 1}


def test_the_index_has_the_cases_that_will_be_judged(two: Two) -> None:
    entry = mixed.read_index(f"{HERE} then {THERE}", SMOKE).entries["relu.default"]
    assert [len(entry.correctness), len(entry.performance)] == [3, 4]
    assert entry.correctness[0].startswith("cpu")
    assert entry.performance[0].startswith("cuda")


def test_a_task_is_for_the_device_that_is_timed(two: Two) -> None:
    assert mixed.device(f"{HERE} then {THERE}") == "cuda"


@pytest.mark.parametrize(
    ("gpu", "correctness_on", "performance_on", "place"),
    [
        ("local", None, None, "local"),
        ("local", "cpu", None, "cpu then local"),
        ("H100", "T4", "H100", "T4 then H100"),
        ("cpu", None, "http://host:1", "cpu then http://host:1"),
        ("local", "cpu", "cpu", "cpu"),
    ],
)
def test_which_place_is_meant(
    gpu: str, correctness_on: str | None, performance_on: str | None, place: str
) -> None:
    assert choose.place(gpu, correctness_on, performance_on) == place


@pytest.mark.parametrize("gpu", ["cpu then ", " then cpu", "cpu then cpu then cpu", "cpu then nowhere"])
def test_two_places_must_be_two_places(gpu: str) -> None:
    with pytest.raises(UsageError):
        choose.check(gpu)


@pytest.mark.slow
def test_one_host_in_two_roles_gives_the_verdict_that_it_gives_in_one(judge: Judge) -> None:
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    wrong = "def relu__default_kernel_impl(x):\n    return x\n"
    asked = Submission(op=RELU, source=wrong, suite=spec, seed=7)

    async def at_two() -> Verdict:
        try:
            return await choose.choose("cpu then local").submit(asked)
        finally:
            await choose.release()

    one, two = judge(asked), asyncio.run(at_two())
    assert (likeness(two), two.message, two.only) == (likeness(one), one.message, None)
    assert two.performance == one.performance
    assert {"fork", "timing", "check"} <= set(two.stages_s)


@pytest.mark.gpu
def test_right_on_the_cpu_and_fast_on_the_gpu(runtime_folder: Path) -> None:
    source = (Path(__file__).parents[1] / "corpus" / "gpu_honest_relu" / "kernel.py").read_text()
    gpu = SuiteSpec(name="smoke", device="cuda", dtype="float32")

    async def at_two() -> Verdict:
        try:
            return await choose.choose("cpu then local").submit(Submission(op=RELU, source=source, suite=gpu))
        finally:
            await choose.release()

    verdict = asyncio.run(at_two())
    assert verdict.status is Status.OK, verdict.message
    timed = [case for case in verdict.cases if case.kind is CaseKind.PERFORMANCE]
    assert timed
    assert all(case.speedup for case in timed)
