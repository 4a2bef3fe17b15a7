"""What the tests share: a folder for judge services of their own, and one judge in it for all of them."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from backend_bench import runtime
from backend_bench.executors import services
from backend_bench.executors.local import LocalExecutor
from backend_bench.submission import Submission
from backend_bench.verdict import Verdict

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, database=None)
settings.register_profile("long", parent=settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile("ci")

Judge = Callable[[Submission], Verdict]


@pytest.fixture(scope="session", autouse=True)
def runtime_folder() -> Iterator[Path]:
    """Services that tests start live here, whoever starts them, and end with the tests."""
    short = tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp")  # as a socket's path must be
    with short as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv(runtime.FOLDER, folder)
        patch.setenv(runtime.IDLE, "120")  # tests that are killed end no service
        yield Path(folder)
        for seen in services.running():
            services.end(seen)


@pytest.fixture(scope="session")
def judge(runtime_folder: Path) -> Iterator[Judge]:
    """Submits to a real judge service and waits for the verdict."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def executor() -> LocalExecutor:
        return LocalExecutor()

    local = wait(executor())
    yield lambda submission: wait(local.submit(submission))
    wait(local.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
