"""Whoever waits for a compiler lets a timing go first: the worker is kept from the GPU, and goes on without it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.buffers import CudaDriverError
from backend_bench.errors import SandboxUnavailable
from backend_bench.judge import aside, paused, zygotes
from backend_bench.judge.aside import Aside
from backend_bench.judge.bench import Ready, Timed
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import GPU_PAUSE, Crashed, Forged, Keeper, TimedOut, _with_pause
from backend_bench.judge.performance import Timing
from backend_bench.judge.stages import Stages
from backend_bench.leases import Lease
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

NOT_INITIALIZED, NOT_PERMITTED, NOT_READY, ILLEGAL_STATE, SYSTEM, ILLEGAL_ADDRESS = 3, 800, 600, 401, 304, 700
GONE = 13
"""A process that has ended."""


class Worker:
    """A life that answers when it is told to."""

    listens = False

    def __init__(self) -> None:
        self.said: list[str] = []
        self.channel, self._theirs = wire.Channel.pair()
        self._other_end = wire.Channel(self._theirs)

    def processes(self) -> list[int]:
        return [11, 12]

    def interrupt(self) -> None:
        raise AssertionError("nothing is stuck")

    def answer(self) -> None:
        self._other_end.send(wire.Loaded())

    def freeze(self) -> bool:
        self.said.append("freeze")
        return True

    def thaw(self) -> None:
        self.said.append("thaw")


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.channel.close()
    made._other_end.close()


def nothing_is_stuck() -> None:
    raise AssertionError("nothing is stuck")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the driver was told; it does all that it is asked for."""
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(paused, "cu", lambda name, pid, _: said.append((name, pid.value)))
    monkeypatch.setattr(paused, "_found", {"works": True})
    monkeypatch.setattr(paused, "is_gone", lambda pid: pid == GONE)
    monkeypatch.setattr(paused, "ENDING_S", 0.0)
    return said


def refusing(
    code: int, pids: Iterable[int], told: list[tuple[str, int]], *, what: str = "Lock", times: int = 1000
) -> Any:
    left = iter(range(times))

    def cu(name: str, pid: ctypes.c_int, _: object) -> None:
        if name.endswith(f"Process{what}") and pid.value in pids and next(left, None) is not None:
            raise CudaDriverError(f"{name}: refused ({code})", code)
        told.append((name, pid.value))

    return cu


def shared_by(
    lease: Lease, steps: Aside, worker: Worker, has_it: threading.Event, left_s: list[float]
) -> None:
    with lease.shared():
        has_it.set()
        left_s.append(steps.wait(worker, 60.0))  # type: ignore[arg-type]
        worker.channel.receive(wire.Loaded, limit_s=left_s[0])


def test_who_wants_the_device_has_it_while_the_worker_goes_on(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]]
) -> None:
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    steps = stepping(lease)
    sharer = threading.Thread(target=shared_by, args=(lease, steps, worker, has_it, left_s))
    sharer.start()
    assert has_it.wait(60)
    with lease.alone():  # the worker has not answered
        assert told == [("cuCheckpointProcessLock", 11), ("cuCheckpointProcessLock", 12)]
        worker.answer()
        assert not left_s
    sharer.join(60)
    assert [name for name, _ in told[2:]] == ["cuCheckpointProcessUnlock"] * 2
    assert steps.waited_s > 0
    assert 0 < left_s[0] <= 60.0


def test_a_worker_that_listens_is_stopped_and_not_asked_of_the_driver(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]]
) -> None:
    worker.listens = True
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    sharer = threading.Thread(target=shared_by, args=(lease, stepping(lease), worker, has_it, left_s))
    sharer.start()
    assert has_it.wait(60)
    with lease.alone():  # the worker has not answered
        assert worker.said == ["freeze"]
        worker.answer()
    sharer.join(60)
    assert worker.said == ["freeze", "thaw"]
    assert told == []
    assert left_s


def test_a_worker_that_listens_goes_on_as_long_as_the_gpu_is_at_its_work(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]]
) -> None:
    worker.listens = True
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    looks = iter((False, False, True))
    steps = Aside(lease, Stages(), lambda _: None, is_quiet=lambda: next(looks))
    sharer = threading.Thread(target=shared_by, args=(lease, steps, worker, has_it, left_s))
    sharer.start()
    assert has_it.wait(60)
    with lease.alone():
        assert worker.said == ["freeze", "thaw", "freeze", "thaw", "freeze"]
        assert next(looks, None) is None
        worker.answer()
    sharer.join(60)
    assert worker.said[-1] == "thaw"
    assert told == []


def test_who_never_leaves_the_gpu_in_peace_has_no_more_time_than_others(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]]
) -> None:
    """What it has given the GPU does not end, or a neighbour's work does not; it is not stopped for longer than it goes on."""
    worker.listens = True
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()

    def look() -> bool:
        threading.Event().wait(0.02)
        return False

    steps = Aside(lease, Stages(), lambda _: None, is_quiet=look)
    waiting = threading.Thread(target=lambda: has_it.wait(60) and lease.alone().__enter__(), daemon=True)
    waiting.start()
    with lease.shared():
        has_it.set()
        begun = time.monotonic()
        left_s.append(steps.wait(worker, 1.0))  # type: ignore[arg-type]
        took_s = time.monotonic() - begun
    assert left_s == [0.0]
    assert steps.waited_s == 0
    assert took_s < 30  # an endless wait else
    assert 2 < worker.said.count("freeze") <= 40


def stepping(lease: Lease) -> Aside:
    return Aside(lease, Stages(), lambda _: None)


@pytest.mark.parametrize("code", [NOT_PERMITTED, SYSTEM])
def test_a_worker_that_cannot_be_kept_from_the_gpu_is_waited_for(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(code, [12], told))
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    ended = threading.Event()
    steps = stepping(lease)
    monkeypatch.setattr(aside.log, "warning", lambda *_: ended.set())
    sharer = threading.Thread(target=shared_by, args=(lease, steps, worker, has_it, left_s))
    sharer.start()
    assert has_it.wait(60)

    def answer() -> None:
        assert ended.wait(60)
        assert lease.state() != "alone"
        worker.answer()

    answering = threading.Thread(target=answer)
    answering.start()
    with lease.alone():
        assert told == [("cuCheckpointProcessLock", 11), ("cuCheckpointProcessUnlock", 11)]
    sharer.join(60)
    answering.join(60)


def test_processes_without_cuda_need_not_be_kept_from_it(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_INITIALIZED, [11], told))
    with paused.kept_from_the_gpu([11, 12], when_stuck=nothing_is_stuck) as locked:
        assert locked == [12]
        assert told == [("cuCheckpointProcessLock", 12)]
    assert told == [("cuCheckpointProcessLock", 12), ("cuCheckpointProcessUnlock", 12)]


def test_a_worker_has_all_its_time_where_nobody_wants_the_device(tmp_path: Path, worker: Worker) -> None:
    lease = Lease("gpu", tmp_path)
    steps = stepping(lease)
    worker.answer()
    with lease.shared():
        assert 59.0 < steps.wait(worker, 60.0) <= 60.0  # type: ignore[arg-type]
    assert steps.waited_s == 0.0


def test_a_late_worker_is_late(tmp_path: Path, worker: Worker, told: list[tuple[str, int]]) -> None:
    lease = Lease("gpu", tmp_path)
    with lease.shared():
        assert stepping(lease).wait(worker, 0.01) == 0.0  # type: ignore[arg-type]
    assert not told


STEPS = """
import mmap, struct, sys, threading
import torch

seen = mmap.mmap(int(sys.argv[1]), 4096)
x = torch.zeros(1 << 20, device="cuda")

def think():
    count = 0
    while True:
        count += 1
        struct.pack_into("q", seen, 8, count)

threading.Thread(target=think, daemon=True).start()
count = 0
while True:
    x.add_(1)
    torch.cuda.synchronize()
    count += 1
    struct.pack_into("q", seen, 0, count)
"""


@pytest.mark.gpu
def test_a_paused_process_thinks_and_does_nothing_on_the_gpu() -> None:
    fd = os.memfd_create("steps")
    os.ftruncate(fd, 4096)
    seen = mmap.mmap(fd, 4096)

    def counts() -> tuple[int, int]:
        steps, thoughts = struct.unpack_from("qq", seen)
        return steps, thoughts

    def until(what: Any) -> None:
        while not what():
            assert other.poll() is None

    other = subprocess.Popen([sys.executable, "-c", STEPS, str(fd)], pass_fds=[fd])
    try:
        torch.cuda.init()
        until(lambda: counts()[0] > 100)
        with paused.kept_from_the_gpu([other.pid], when_stuck=other.kill):
            steps, thoughts = counts()
            until(lambda: counts()[1] > thoughts + 10_000)
            assert counts()[0] <= steps + 1  # the last was done, and had not been counted yet
        until(lambda: counts()[0] > steps + 10)
        with paused.kept_from_the_gpu(
            [other.pid], when_stuck=other.kill
        ):  # and who is killed in the middle is gone
            other.send_signal(signal.SIGKILL)
            assert other.wait(60) == -signal.SIGKILL
    finally:
        other.kill()
        other.wait()
        os.close(fd)


def test_the_limit_of_a_lock_is_the_first_word() -> None:
    assert list(paused._arguments(7))[:2] == [7, 0]
    assert ctypes.sizeof(paused._arguments()) == 64


class Idle:
    """A life with nothing in it."""

    listens = False

    def __init__(self, pid: int = 21) -> None:
        self.gone, self._pid = threading.Event(), pid

    def processes(self) -> list[int]:
        return [self._pid]

    def interrupt(self) -> None:
        self.gone.set()


def keeper_of(life: object) -> Keeper:
    made = Keeper(life, torch.device("cuda"), memory_bytes=0)  # type: ignore[arg-type]
    made._watch = SimpleNamespace()  # type: ignore[assignment]  # there is a candidate in it
    return made


def test_a_candidate_is_kept_from_the_gpu_while_the_reference_runs(told: list[tuple[str, int]]) -> None:
    with keeper_of(Idle()).standing_still():
        assert told == [("cuCheckpointProcessLock", 21)]
    assert told[1:] == [("cuCheckpointProcessUnlock", 21)]


def test_work_that_is_not_done_after_the_reply_has_timed_out(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_READY, [21], told))
    with pytest.raises(TimedOut, match="not done"), keeper_of(Idle()).standing_still():
        raise AssertionError("the reference must not be timed beside it")


def test_a_dead_candidate_is_in_nobodys_way(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_PERMITTED, [21], told))
    keeper = keeper_of(Idle())
    keeper.alive = False
    with keeper.standing_still():
        assert not told


def test_a_candidate_that_lives_and_cannot_be_kept_from_the_gpu_is_to_blame(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be, before there was a candidate in it."""
    monkeypatch.setattr(paused, "cu", refusing(ILLEGAL_STATE, [21], told))
    with pytest.raises(Crashed, match="cannot be kept"), keeper_of(Idle()).standing_still():
        raise AssertionError("the reference must not be timed beside it")


def test_a_candidate_whose_context_is_broken_is_told_so(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(ILLEGAL_ADDRESS, [21], told))
    with (
        pytest.raises(Crashed, match=r"the kernel broke the CUDA context: .*cannot be kept"),
        keeper_of(Idle()).standing_still(),
    ):
        raise AssertionError("the reference must not be timed beside it")


def test_a_candidate_that_is_busy_once_is_asked_again(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_READY, [21], told, times=1))
    with keeper_of(Idle()).standing_still():
        assert told == [("cuCheckpointProcessLock", 21)]


def test_a_candidate_that_takes_itself_back_is_found_out(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(ILLEGAL_STATE, [21], told, what="Unlock"))
    with pytest.raises(Forged, match="not any more"), keeper_of(Idle()).standing_still():
        assert told == [("cuCheckpointProcessLock", 21)]


def test_who_is_stuck_at_a_lock_is_ended(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver waits for a stopped process without a limit."""
    monkeypatch.setattr(paused, "STUCK_S", 0.05)
    life = Idle(GONE)

    def cu(name: str, pid: ctypes.c_int, _: object) -> None:
        assert life.gone.wait(60)
        raise CudaDriverError("it has ended", SYSTEM)

    monkeypatch.setattr(paused, "cu", cu)
    keeper = keeper_of(life)
    with keeper.standing_still():
        assert not keeper.lives


def test_processes_that_have_ended_are_in_nobodys_way(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler's come and go."""
    monkeypatch.setattr(paused, "cu", refusing(SYSTEM, [GONE], told))
    with paused.kept_from_the_gpu([11, GONE, 12], when_stuck=nothing_is_stuck) as locked:
        assert locked == [11, 12]


def test_a_process_on_its_way_out_has_undone_nothing(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies in the middle, and takes a while."""
    looks = iter([False, False, True])
    monkeypatch.setattr(paused, "ENDING_S", 60.0)
    monkeypatch.setattr(paused, "is_gone", lambda _: next(looks))
    monkeypatch.setattr(paused, "cu", refusing(SYSTEM, [21], told, what="Unlock"))
    with keeper_of(Idle()).standing_still():
        assert told == [("cuCheckpointProcessLock", 21)]
    assert next(looks, None) is None


def test_whoever_was_busy_is_asked_again_when_the_device_is_wanted(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_READY, [12], told, times=1))
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    sharer = threading.Thread(target=shared_by, args=(lease, stepping(lease), worker, has_it, left_s))
    sharer.start()
    assert has_it.wait(60)
    with lease.alone():
        assert told == [
            ("cuCheckpointProcessLock", 11), ("cuCheckpointProcessUnlock", 11),
            ("cuCheckpointProcessLock", 11), ("cuCheckpointProcessLock", 12),
        ]  # fmt: skip
        worker.answer()
    sharer.join(60)


def test_a_worker_that_takes_itself_back_while_it_compiles_is_found_out(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(ILLEGAL_STATE, [12], told, what="Unlock"))
    lease, has_it = Lease("gpu", tmp_path), threading.Event()
    said: list[str] = []

    def share() -> None:
        keeper = keeper_of(worker)
        with lease.shared():
            has_it.set()
            with pytest.raises(Forged) as found:
                keeper._receive(wire.Loaded, 60.0, "in a call", stepping(lease))
        said.append(str(found.value))

    sharer = threading.Thread(target=share)
    sharer.start()
    assert has_it.wait(60)
    with lease.alone():
        assert len(told) == 2
    sharer.join(60)
    assert "not any more" in said[0]


@pytest.mark.parametrize("code", [NOT_PERMITTED, None])
def test_a_host_that_cannot_do_it_says_so(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    monkeypatch.setattr(paused, "_found", {"works": False})
    if code is not None:
        monkeypatch.setattr(paused, "cu", refusing(code, [21], told))
    why = paused.missing(lambda: [21])
    assert bool(why) == (code is not None)
    assert paused.is_offered() == (not why)
    found = _with_pause(wire.Ready("best-effort", ("seccomp",), ()), why)
    assert [*found.holds, *(line.partition(":")[0] for line in found.missing)] == ["seccomp", GPU_PAUSE]
    with pytest.raises(SandboxUnavailable, match=GPU_PAUSE) if why else contextlib.nullcontext():
        _with_pause(wire.Ready("required", ("seccomp",), ()), why)


def test_the_candidate_of_a_cpu_is_frozen_while_the_reference_runs() -> None:
    said: list[str] = []
    life = SimpleNamespace(
        listens=False, freeze=lambda: not said.append("freeze"), thaw=lambda: said.append("thaw")
    )  # type: ignore[func-returns-value]
    keeper = Keeper(life, torch.device("cpu"), memory_bytes=0)  # type: ignore[arg-type]
    with contextlib.suppress(KeyError), keeper.standing_still():
        assert said == ["freeze"]
        raise KeyError
    assert said == ["freeze", "thaw"]


def test_a_host_where_no_worker_was_found_on_the_gpu_promises_nothing(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "_found", {"works": False})
    assert "no process" in paused.missing(list)
    assert not paused.is_offered()
    monkeypatch.setattr(paused, "cu", refusing(NOT_INITIALIZED, [21], told))
    assert "no process" in paused.missing(lambda: [21])
    assert not paused.is_offered()


def test_a_candidate_that_does_not_stand_still_when_it_is_stopped_is_ended() -> None:
    keeper = Keeper(
        SimpleNamespace(freeze=lambda: False, thaw=lambda: None), torch.device("cpu"), memory_bytes=0
    )  # type: ignore[arg-type]
    keeper._watch = SimpleNamespace()  # type: ignore[assignment]
    with pytest.raises(TimedOut, match="stand still"), keeper.standing_still():
        raise AssertionError("the reference must not be timed beside it")


BUSY = """
import os
import torch

CHILDREN = []

def relu__default_kernel_impl(x):
    while len(CHILDREN) < 3:
        pid = os.fork()
        while pid == 0:
            pass
        CHILDREN.append(pid)
    return torch.clamp_min(x, 0)
"""


@pytest.mark.slow
def test_all_of_a_candidate_is_stopped_in_each_call_of_the_reference_beside_it(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    references = Timing._references

    def looking(self: Timing, many: Sequence[Ready]) -> list[Timed]:
        if (candidate := self._bench._candidate) is not None:
            seen.append({zygotes._state(pid) for pid in candidate.processes()})
            assert len(candidate.processes()) >= 4
        return references(self, many)

    monkeypatch.setattr(Timing, "_references", looking)
    suite = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    op = Operator.parse("relu")
    verdict = own_judge.judge(Submission(op=op, source=BUSY, suite=suite, only="performance"))
    assert verdict.status is Status.OK, verdict
    assert len(seen) > 10
    assert set.union(*seen) == {"T"}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["best-effort", "off"])
def test_all_processes_of_a_life_are_stopped_with_a_relay_and_without(level: str) -> None:
    with zygotes.Zygote("native") as zygote:
        life = zygote.spawn(level=level, memory_bytes=8 << 30, device="cpu", threads=1)
        keeper = Keeper(life, torch.device("cpu"), memory_bytes=8 << 30)
        with keeper:
            keeper.wait_ready()
            assert keeper.processes()
            assert life.freeze()
            assert {zygotes._state(pid) for pid in keeper.processes()} == {"T"}
            life.thaw()
            assert not keeper.load(wire.Load("", "", "", reference="relu.default"), limit_s=60)
