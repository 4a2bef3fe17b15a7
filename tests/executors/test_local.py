"""The local executor: what its service may see, and that a dead service is started again."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from backend_bench.errors import UsageError
from backend_bench.executors.local import LocalExecutor, _service_environment
from backend_bench.submission import SuiteSpec

SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "MY_PW", "DATABASE_URL", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"]
)
def test_the_service_sees_no_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "sk-secret")
    assert "sk-secret" not in _service_environment().values()


@pytest.mark.parametrize(
    "name", ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "HTTPS_PROXY", "BACKEND_BENCH_CACHE"]
)
def test_the_service_sees_what_it_needs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "as-set")
    assert _service_environment()[name] == "as-set"


def test_a_killed_service_is_started_again_and_asked_again() -> None:
    async def story() -> None:
        executor = LocalExecutor("cpu")
        try:
            before = await executor.index(SMOKE)
            os.kill(executor.service_pid or 0, signal.SIGKILL)
            assert await executor.index(SMOKE) == before
        finally:
            await executor.aclose()

    asyncio.run(story())


def test_a_request_that_makes_no_sense_is_a_usage_error() -> None:
    async def story() -> None:
        executor = LocalExecutor("cpu")
        try:
            with pytest.raises(UsageError, match="cannot draw"):
                await executor.index(SuiteSpec(name="smoke", device="cpu", dtype="bfloat8"))
        finally:
            await executor.aclose()

    asyncio.run(story())
