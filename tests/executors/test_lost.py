"""What a service and its clients leave behind when one of them is killed, stopped, or finds no room."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_bench import runtime
from backend_bench.errors import ServiceError
from backend_bench.executors import launch, local, services
from backend_bench.executors.local import LocalExecutor
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

from .. import processes
from .test_local import HONEST, RELU, SLEEPY, SMOKE, at_executor, fresh, submission, until

__all__ = ["fresh"]

STOPPED_S = 5.0
"""Longer than the limit of a call below, and than what a busy processor explains."""
THREADS = 7
HELD_UP = f"""
import threading, time, torch

waiting = []


def relu__default_kernel_impl(x):
    if not waiting:
        over = threading.Event()
        waiting[:] = [threading.Thread(target=over.wait) for _ in range({THREADS})]
        for thread in waiting:
            thread.start()
        time.sleep(1)
        over.set()
    return torch.clamp_min(x, 0)
"""
"""A first call that takes a second, and that can be seen from outside by its threads."""
LIST = """
import sys
from backend_bench.executors.local import read_index
from backend_bench.submission import SuiteSpec

read_index("cpu", SuiteSpec(name="smoke", device="cpu", dtype="float32"))
"""


# ---- killed --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_service_that_is_killed_leaves_no_process_and_no_memory(fresh: Path) -> None:
    """Its zygotes miss it, its workers die with their zygote, and shared memory has no name."""
    before = set(os.listdir("/dev/shm"))

    async def story(executor: LocalExecutor) -> None:
        service = (await executor.service())["pid"]
        asked = asyncio.create_task(executor.submit(submission(SLEEPY)))
        await until(executor, lambda queues: bool(queues["running"]))
        with processes.watched([service, *processes.family(service)]) as left:
            os.kill(service, signal.SIGKILL)
            assert await asyncio.to_thread(left) == []
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    at_executor(story)
    assert set(os.listdir("/dev/shm")) <= before


@pytest.mark.slow
def test_a_service_that_is_killed_while_it_starts_is_replaced(fresh: Path) -> None:
    place = runtime.address("best-effort")
    launch.ensure(place, "best-effort")
    first = next(pid for pid in iter(place.pid, object()) if pid is not None)  # it notes it a moment later

    async def story(executor: LocalExecutor) -> None:
        asked = asyncio.create_task(executor.submit(submission(HONEST)))
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)  # torch is not imported yet: the client sits in the backlog
        assert (await asked).status is Status.OK
        assert (await executor.service())["pid"] != first

    at_executor(story)


@pytest.mark.slow
def test_a_lock_that_names_a_dead_process_keeps_nobody_out(fresh: Path) -> None:
    place = runtime.address("best-effort")
    place.lock.write_text("4194304")
    assert services.running() == []
    launch.ensure(place, "best-effort")
    assert place.pid() not in (None, 4194304)


def test_an_index_maker_that_is_killed_is_our_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    kill = threading.Thread(target=_kill_the_maker_of, args=(os.getpid(),))
    kill.start()
    with pytest.raises(ServiceError, match="its maker was killed by signal 9"):
        local.read_index("cpu", SMOKE)
    kill.join()
    assert list(tmp_path.rglob("*.json")) == []


def test_an_index_maker_ends_with_its_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client = subprocess.Popen([sys.executable, "-c", LIST])
    maker = _maker_of(client.pid)
    with processes.watched([maker]) as left:
        client.kill()
        client.wait()
        assert left() == []
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "cache"])


def _kill_the_maker_of(pid: int) -> None:
    os.kill(_maker_of(pid), signal.SIGKILL)


def _maker_of(pid: int) -> int:
    while True:
        for child in processes.children(pid):
            if b"backend_bench.suites" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child


# ---- stopped -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("who", ["judges", "everybody"])
def test_a_host_that_sleeps_in_mid_call_costs_nobody_anything(fresh: Path, who: str) -> None:
    """The service and its judges stand still, or the workers too, for longer than the kernel's limit; then it goes on."""

    async def story(executor: LocalExecutor) -> None:
        service = (await executor.service())["pid"]
        limits = Limits(load_s=60, call_s=4, first_call_s=4)
        asked = asyncio.create_task(
            executor.submit(
                Submission(op=RELU, source=HELD_UP, suite=SMOKE, only="correctness", limits=limits)
            )
        )
        await asyncio.to_thread(_wait_for_the_call, service, asked)
        below = processes.family(service) if who == "everybody" else processes.children(service)
        sleepers = [service, *below]
        for pid in sleepers:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(STOPPED_S)  # this is the fault, and not a wait for something
        for pid in sleepers:
            os.kill(pid, signal.SIGCONT)
        verdict = await asked
        assert verdict.status is Status.OK, verdict.message

    at_executor(story)


def _wait_for_the_call(service: int, asked: asyncio.Task[Verdict]) -> None:
    while not any(processes.threads(pid) > THREADS for pid in processes.family(service)):
        assert not asked.done(), asked.result()


# ---- gone in mid-request -------------------------------------------------------------------------


@pytest.mark.slow
def test_a_client_that_vanishes_in_the_middle_of_its_request_leaves_nothing(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no place, and does not keep the service alive."""
    monkeypatch.setenv(runtime.IDLE, "3")
    place = runtime.address("best-effort")
    launch.ensure(place, "best-effort")
    pid = place.pid()
    assert pid is not None
    for part in (b"", b"POST /v1/submissions HTTP/1.1\r\n", _half_a_request()):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(os.fspath(place.socket))
            client.sendall(part)
    with processes.watched([pid]) as left:
        assert left() == []
    assert "Traceback" not in place.log.read_text()


def _half_a_request() -> bytes:
    head = b"POST /v1/submissions HTTP/1.1\r\nhost: judge\r\ncontent-length: 1000\r\n\r\n"
    return head + b'{"op": '


# ---- no room -------------------------------------------------------------------------------------


@pytest.fixture
def full() -> Iterator[Path]:
    """A file system of its own, in which there is no room any more."""
    place = Path(tempfile.mkdtemp(prefix="bb-", dir="/tmp"))  # a socket's path must be short
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    place.chmod(0o700)
    with pytest.raises(OSError, match="No space left"):
        (place / "ballast").write_bytes(b"x" * (1 << 20))
    yield place
    for seen in services.running():
        services.end(seen)
    subprocess.run(["umount", "-l", str(place)], check=True)
    place.rmdir()


@pytest.mark.slow
def test_a_service_that_finds_no_room_is_not_started_and_says_why(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runtime.FOLDER, str(full))

    async def story(executor: LocalExecutor) -> None:
        with pytest.raises(ServiceError, match=r"was not started: .*No space left on device"):
            await executor.service()
        (full / "ballast").unlink()
        assert (await executor.service())["pid"]  # and once there is room it is

    at_executor(story)


def test_a_folder_that_cannot_be_written_is_named(fresh: Path) -> None:
    place = runtime.address("best-effort")
    place.lock.mkdir()
    with pytest.raises(ServiceError, match=r"\.lock cannot be opened"):
        launch.ensure(place, "best-effort")
    place.lock.rmdir()


@pytest.mark.slow
def test_a_full_cache_costs_speed_only(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(full))
    assert local.read_index("cpu", SuiteSpec(name="smoke", device="cpu", dtype="float32")).entries
    assert list(full.rglob("*.json")) == []
