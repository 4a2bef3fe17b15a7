"""What the tests share: one judge on this host, for all tests of a session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from backend_bench.executors.local import LocalExecutor
from backend_bench.submission import Submission
from backend_bench.verdict import Verdict

Judge = Callable[[Submission], Verdict]


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
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
