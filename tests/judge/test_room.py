"""Who finds no memory on a device is judged again without neighbours, and large cases have their turns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from backend_bench.buffers import CudaDriverError
from backend_bench.errors import JudgeError
from backend_bench.grading.running import ran_out_of_memory
from backend_bench.judge import correctness
from backend_bench.judge import judge as judge_module
from backend_bench.judge import room as module
from backend_bench.judge.judge import Judge
from backend_bench.judge.room import Room, release_cache
from backend_bench.judge.stages import Stage, Stages
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Evidence, Status, Verdict

HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
NO_MEMORY = "CUDA out of memory. Tried to allocate 3.00 GiB. Process 17 has 80 GiB memory in use."


class Full(Stages):
    """Stages in which the device is full whenever it is shared, or always."""

    def __init__(self, stage: Stage, is_full: Callable[[], bool], error: Exception) -> None:
        super().__init__()
        self._stage, self._is_full, self._error = stage, is_full, error

    def __call__(self, stage: Stage):  # type: ignore[no-untyped-def]
        if stage == self._stage and self._is_full():
            raise self._error
        return super().__call__(stage)


def verdict_of(judge: Judge, stage: Stage, is_full: Callable[[], bool], error: Exception) -> Verdict:
    stay = judge.stay()
    stay.stages = Full(stage, is_full, error)
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    submission = Submission(op=Operator.parse("relu"), source=HONEST, suite=spec, only="correctness")
    return judge.judge(submission, stay)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(NO_MEMORY), CudaDriverError("cuMemCreate: out of memory (2)", 2)]
)
@pytest.mark.parametrize("stage", ["draw", "oracle", "run"])
def test_who_finds_no_memory_beside_others_is_judged_again_without_them(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Stage, error: Exception
) -> None:
    room = Room("gpu-1", 1 << 40, tmp_path)
    monkeypatch.setattr(own_judge, "_room", room)
    states: list[str] = []

    def is_full() -> bool:
        states.append(room._turns.state())
        return states[-1] == "shared"

    verdict = verdict_of(own_judge, stage, is_full, error)
    assert verdict.status is Status.OK, verdict.message
    assert set(states) == {"shared", "alone"}
    assert verdict.notes == (
        "judged twice, this is the second: the device's memory does not suffice for the judge's own part: "
        + (f"OutOfMemoryError: {NO_MEMORY.partition('. ')[0]}" if "Tried" in str(error) else f"CudaDriverError: {error}"),
    )  # fmt: skip
    assert room._turns.state() == "idle"


def test_who_finds_none_without_neighbours_either_is_told_so(own_judge: Judge) -> None:
    verdict = verdict_of(own_judge, "draw", lambda: True, torch.OutOfMemoryError(NO_MEMORY))
    assert verdict.status is Status.ERROR
    assert verdict.message.startswith("the device's memory does not suffice for the judge's own part")
    assert "Process" not in verdict.message


def test_no_memory_is_seen_through_what_was_made_of_it() -> None:
    seen = JudgeError("the reference could not run")
    seen.__cause__ = torch.OutOfMemoryError(NO_MEMORY)
    assert ran_out_of_memory(seen)
    for text in (
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "the reference failed on ((T([2], f32),), {}): OutOfMemoryError: CUDA out of memory. Tried",
    ):
        assert ran_out_of_memory(RuntimeError(text))
    assert not ran_out_of_memory(CudaDriverError("cuMemMap: invalid argument (1)", 1))
    assert not ran_out_of_memory(JudgeError("the judge has no idea"))


GREEDY = """
import torch


def relu__default_kernel_impl(x):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 900.00 GiB")
"""


@pytest.mark.parametrize("is_tight", [True, False])
def test_a_kernel_that_finds_no_memory_is_judged_again_only_if_others_have_it(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_tight: bool
) -> None:
    room = Room("gpu-1", 1 << 40, tmp_path)
    monkeypatch.setattr(room, "is_tight", lambda: is_tight)
    monkeypatch.setattr(own_judge, "_room", room)
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    submission = Submission(op=Operator.parse("relu"), source=GREEDY, suite=spec, only="correctness")
    verdict = own_judge.judge(submission)
    assert verdict.status is Status.CRASHED
    assert verdict.correctness_score == 0
    again = "judged twice, this is the second: the kernel found no memory beside others"
    assert (again in verdict.notes) == is_tight


def test_a_second_try_clears_nobody(own_judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cheats and then has the judge's own memory filled is a cheat, and no fault of ours."""
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    noted = judge_module._Protocol.note_correctness

    def caught(protocol: judge_module._Protocol, phase: correctness.Phase) -> None:
        noted(protocol, phase)
        protocol.evidence.append(Evidence(rule="forged_frame", detail="it was seen"))
        raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(judge_module._Protocol, "note_correctness", caught)
    submission = Submission(op=Operator.parse("relu"), source=HONEST, suite=spec, only="correctness")
    verdict = own_judge.judge(submission)
    assert verdict.status is Status.CHEATED
    assert verdict.message == "it was seen"
    assert verdict.notes == ()


def test_the_first_of_many_large_ones_does_not_wait_for_the_last(tmp_path: Path) -> None:
    room, over = Room("gpu-1", 100, tmp_path), threading.Event()
    first_is_in, others_wait = threading.Event(), threading.Semaphore(0)

    def first() -> None:
        with room.beside(101):
            first_is_in.set()
            for _ in range(3):
                assert others_wait.acquire(timeout=60)
        over.set()

    def another() -> None:
        others_wait.release()
        with room.beside(101):
            assert over.wait(60)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert first_is_in.wait(60)
    threads += [threading.Thread(target=another) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert over.is_set()


def test_one_large_case_at_a_time_and_small_ones_beside_it(tmp_path: Path) -> None:
    room, order = Room("gpu-1", 100, tmp_path), []
    small_is_in = threading.Event()

    def large() -> None:
        with room.beside(101):
            order.append("second large")

    def small() -> None:
        with room.beside(100):
            small_is_in.set()

    with room.beside(101):
        threads = [threading.Thread(target=work) for work in (large, small)]
        for thread in threads:
            thread.start()
        assert small_is_in.wait(60)
        order.append("first large")
    for thread in threads:
        thread.join()
    assert order == ["first large", "second large"]


def test_on_a_cpu_nobody_waits() -> None:
    room = Room.of(torch.device("cpu"))
    with room.alone(), room.alone(), room.beside(1 << 40):
        pass


@pytest.mark.gpu
def test_what_torch_keeps_and_nobody_uses_is_given_back() -> None:
    kept = torch.cuda.get_device_properties(0).total_memory // module.KEPT_PARTS
    unused = torch.empty(2 * kept, dtype=torch.uint8, device="cuda")
    del unused
    assert torch.cuda.memory_reserved() >= 2 * kept
    release_cache()
    assert torch.cuda.memory_reserved() < kept
