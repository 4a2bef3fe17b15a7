"""What the tests share: a folder for judge services of their own, and one judge in it for all of them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend_bench import runtime
from backend_bench.executors import services
from backend_bench.executors.local import LocalExecutor
from backend_bench.submission import Submission
from backend_bench.verdict import Verdict

Judge = Callable[[Submission], Verdict]


@pytest.fixture(scope="session", autouse=True)
def runtime_folder() -> Iterator[Path]:
    """Services that tests start live here, whoever starts them, and end with the tests."""
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:  # a socket's path must be short
        before = os.environ.get(runtime.FOLDER)
        os.environ[runtime.FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            for seen in services.running():
                services.end(seen)
            if before is None:
                del os.environ[runtime.FOLDER]
            else:
                os.environ[runtime.FOLDER] = before


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
