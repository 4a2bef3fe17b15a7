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
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.buffers import CudaDriverError
from backend_bench.judge import aside, paused
from backend_bench.judge.aside import Aside
from backend_bench.judge.keeper import GPU_PAUSE, Forged, Keeper, _with_pause
from backend_bench.judge.leases import Lease
from backend_bench.judge.stages import Stages

NOT_INITIALIZED, NOT_PERMITTED, NOT_READY = 3, 800, 600


class Worker:
    """A life that answers when it is told to."""

    def __init__(self) -> None:
        self.channel, self._theirs = wire.Channel.pair()
        self._other_end = wire.Channel(self._theirs)

    def processes(self) -> list[int]:
        return [11, 12]

    def answer(self) -> None:
        self._other_end.send(wire.Loaded())


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.channel.close()
    made._other_end.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the driver was told; it does all that it is asked for."""
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(paused, "cu", lambda name, pid, _: said.append((name, pid.value)))
    monkeypatch.setattr(paused, "_known", [""])
    return said


def refusing(code: int, pids: Iterable[int], told: list[tuple[str, int]]) -> Any:
    def cu(name: str, pid: ctypes.c_int, _: object) -> None:
        if name.endswith("Lock") and pid.value in pids:
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
    steps = Aside(lease, Stages())
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


@pytest.mark.parametrize("code", [NOT_PERMITTED, NOT_READY])
def test_a_worker_that_cannot_be_kept_from_the_gpu_is_waited_for(
    tmp_path: Path, worker: Worker, told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(code, [12], told))
    lease, has_it, left_s = Lease("gpu", tmp_path), threading.Event(), list[float]()
    ended = threading.Event()
    steps = Aside(lease, Stages())
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
    with paused.kept_from_the_gpu([11, 12]):
        assert told == [("cuCheckpointProcessLock", 12)]
    assert told == [("cuCheckpointProcessLock", 12), ("cuCheckpointProcessUnlock", 12)]


def test_a_worker_has_all_its_time_where_nobody_wants_the_device(tmp_path: Path, worker: Worker) -> None:
    lease = Lease("gpu", tmp_path)
    steps = Aside(lease, Stages())
    worker.answer()
    with lease.shared():
        assert 59.0 < steps.wait(worker, 60.0) <= 60.0  # type: ignore[arg-type]
    assert steps.waited_s == 0.0


def test_a_late_worker_is_late(tmp_path: Path, worker: Worker, told: list[tuple[str, int]]) -> None:
    lease = Lease("gpu", tmp_path)
    with lease.shared():
        assert Aside(lease, Stages()).wait(worker, 0.01) == 0.0  # type: ignore[arg-type]
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
        with paused.kept_from_the_gpu([other.pid]):
            steps, thoughts = counts()
            until(lambda: counts()[1] > thoughts + 10_000)
            assert counts()[0] <= steps + 1  # the last was done, and had not been counted yet
        until(lambda: counts()[0] > steps + 10)
        with paused.kept_from_the_gpu([other.pid]):  # and who is killed in the middle is gone
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

    gone = threading.Event()


def keeper_of(life: object) -> Keeper:
    made = Keeper(life, torch.device("cuda"), memory_bytes=0)  # type: ignore[arg-type]
    made._watch = SimpleNamespace()  # type: ignore[assignment]  # there is a candidate in it
    return made


def test_a_candidate_is_kept_from_the_gpu_while_the_reference_runs(told: list[tuple[str, int]]) -> None:
    with keeper_of(Idle()).standing_still([21]):
        assert told == [("cuCheckpointProcessLock", 21)]
    assert told[1:] == [("cuCheckpointProcessUnlock", 21)]


def test_work_that_is_not_done_after_the_reply_is_a_cheat(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_READY, [21], told))
    with pytest.raises(Forged, match="not done"), keeper_of(Idle()).standing_still([21]):
        raise AssertionError("the reference must not be timed beside it")


def test_a_dead_candidate_is_in_nobodys_way(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused, "cu", refusing(NOT_PERMITTED, [21], told))
    keeper = keeper_of(Idle())
    with pytest.raises(paused.Refused), keeper.standing_still([21]):
        raise AssertionError("it lives")
    keeper.alive = False
    with keeper.standing_still([21]):
        assert not told


@pytest.mark.parametrize("code", [NOT_PERMITTED, None])
def test_a_host_that_cannot_do_it_says_so(
    told: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    monkeypatch.setattr(paused, "_known", [])
    if code is not None:
        monkeypatch.setattr(paused, "cu", refusing(code, [21], told))
    assert bool(paused.missing([21])) == (code is not None)
    assert paused._known == [paused.missing([])]
    found = _with_pause(wire.Ready("best-effort", ("seccomp",), ()), paused.missing([]))
    assert [*found.holds, *(line.partition(":")[0] for line in found.missing)] == ["seccomp", GPU_PAUSE]


def test_the_candidate_of_a_cpu_is_frozen_while_the_reference_runs() -> None:
    said: list[str] = []
    life = SimpleNamespace(freeze=lambda: said.append("freeze"), thaw=lambda: said.append("thaw"))
    keeper = Keeper(life, torch.device("cpu"), memory_bytes=0)  # type: ignore[arg-type]
    with contextlib.suppress(KeyError), keeper.standing_still([]):
        assert said == ["freeze"]
        raise KeyError
    assert said == ["freeze", "thaw"]
