"""This host's service from its clients' side: one for all of them, found again when it was lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from backend_bench import runtime
from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors import launch, services
from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

T = TypeVar("T")

SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
RELU = Operator.parse("relu")
HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
SLOW_TO_LOAD = f"import time\n\ntime.sleep(3)\n{HONEST}"
"""For longer than a service that ends waits for its last answers."""
SLEEPY = "import time\n\n\ndef relu__default_kernel_impl(x):\n    time.sleep(600)\n"

ASK = """
import asyncio
from backend_bench.executors.local import LocalExecutor

async def pid():
    executor = LocalExecutor()
    print((await executor.service())["pid"])
    await executor.aclose()

asyncio.run(pid())
"""
SUBMIT = """
import asyncio, sys
from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec

async def submit():
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    print("asked", flush=True)
    await LocalExecutor().submit(Submission(op=Operator.parse("relu"), source=sys.argv[1], suite=spec))

asyncio.run(submit())
"""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which no service runs yet; those that come end with the test."""
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:  # a socket's path must be short
        monkeypatch.setenv(runtime.FOLDER, folder)
        yield Path(folder)
        for seen in services.running():
            services.end(seen)


def at_executor(story: Callable[[LocalExecutor], Awaitable[T]]) -> T:
    async def told() -> T:
        executor = LocalExecutor()
        try:
            return await story(executor)
        finally:
            await executor.aclose()

    return asyncio.run(told())


async def until(executor: LocalExecutor, holds: Callable[[dict[str, list[str]]], bool]) -> None:
    """Wait until the service's queues look so."""
    while True:
        state = await executor.service()
        queues = {
            "running": [place["op"] for device in state["devices"] for place in device["running"]],
            "finished": [done["outcome"] for done in state["finished"]],
        }
        if holds(queues):
            return


def submission(source: str) -> Submission:
    return Submission(op=RELU, source=source, suite=SMOKE, only="correctness")


@pytest.mark.slow
def test_two_starts_at_once_give_one_service(fresh: Path) -> None:
    starters = [subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.PIPE) for _ in range(2)]
    pids = {int(starter.communicate()[0]) for starter in starters}
    assert pids == {seen.pid for seen in services.running()}
    assert len(pids) == 1


@pytest.mark.slow
def test_a_service_is_nobodys_child_and_shares_nothing_with_its_starter(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    monkeypatch.setenv(runtime.TOKEN, "sk-token")
    pid = int(subprocess.check_output([sys.executable, "-c", ASK]))
    process = Path(f"/proc/{pid}")
    environment = (process / "environ").read_bytes()
    assert b"sk-secret" not in environment
    assert b"sk-token" not in environment
    assert os.getsid(pid) != os.getsid(0)
    assert (process / "cwd").readlink() == Path("/")
    assert (process / "fd" / "0").readlink() == Path("/dev/null")
    (log,) = fresh.glob("*.log")
    assert (process / "fd" / "2").readlink() == log
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_ends_in_mid_run_is_replaced_and_the_verdict_arrives(
    fresh: Path, how: signal.Signals
) -> None:
    async def story(executor: LocalExecutor) -> None:
        first = (await executor.service())["pid"]
        asked = asyncio.create_task(executor.submit(submission(SLOW_TO_LOAD)))
        await until(executor, lambda queues: bool(queues["running"]))
        os.kill(first, how)
        verdict = await asked
        assert verdict.status is Status.OK, verdict.message
        state = await executor.service()
        assert state["pid"] != first
        assert len(state["finished"]) == 1

    at_executor(story)


def test_a_client_that_is_killed_frees_its_place(runtime_folder: Path) -> None:
    async def story(executor: LocalExecutor) -> None:
        await executor.service()
        client = subprocess.Popen([sys.executable, "-c", SUBMIT, SLEEPY])
        await until(executor, lambda queues: bool(queues["running"]))
        client.kill()
        client.wait()
        await until(executor, lambda queues: queues["finished"][-1:] == ["dropped"] and not queues["running"])

    at_executor(story)


def test_a_verdict_that_is_not_awaited_any_more_frees_its_place(runtime_folder: Path) -> None:
    async def story(executor: LocalExecutor) -> None:
        asked = asyncio.create_task(executor.submit(submission(SLEEPY)))
        await until(executor, lambda queues: bool(queues["running"]))
        asked.cancel()
        await until(executor, lambda queues: queues["finished"][-1:] == ["dropped"] and not queues["running"])

    at_executor(story)


@pytest.mark.slow
def test_a_stale_socket_is_cleared_away(fresh: Path) -> None:
    place = runtime.address("best-effort")
    with launch.bound(place):
        pass
    assert place.socket.exists()
    assert not launch.listens(place)
    launch.ensure(place, "best-effort")
    assert launch.listens(place)


@pytest.mark.slow
def test_a_service_that_was_ended_leaves_a_log_and_no_socket(fresh: Path) -> None:
    place = runtime.address("best-effort")
    launch.ensure(place, "best-effort")
    (seen,) = services.running()
    assert seen.pid == place.pid()
    services.end(seen)
    assert not place.socket.exists()
    assert place.log.exists()
    assert services.running() == []


@pytest.mark.slow
def test_an_idle_service_ends(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.IDLE, "0.01")
    place = runtime.address("best-effort")
    launch.ensure(place, "best-effort")
    while place.pid() is not None:
        services.look(place)  # a look does not keep it alive
    assert not place.socket.exists()


def test_a_service_that_cannot_start_says_why_and_where_its_log_is(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fastapi").mkdir()
    (tmp_path / "fastapi" / "__init__.py").write_text("raise RuntimeError('out of order')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def story(executor: LocalExecutor) -> None:
        with pytest.raises(ServiceError, match=r"(?s)its log is \S+\.log.*out of order"):
            await executor.service()

    at_executor(story)


@pytest.mark.parametrize("limit", ["0", "-3", "soon", "inf"])
def test_a_limit_that_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv(runtime.IDLE, limit)
    with pytest.raises(UsageError, match="seconds above 0"):
        launch.idle_limit_s()


def test_a_request_that_makes_no_sense_is_a_usage_error(runtime_folder: Path) -> None:
    async def story(executor: LocalExecutor) -> None:
        with pytest.raises(UsageError, match="cannot draw"):
            await executor.index(SuiteSpec(name="smoke", device="cpu", dtype="bfloat8"))

    at_executor(story)
