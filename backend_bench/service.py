"""The judge service: takes submissions over HTTP, queues them, and answers with verdicts.

One process per host. It owns the judges, one per kind of device, and is the only process here that
holds expected values. For now it is a child of the command that needs it, listens on a Unix socket in
a private folder, and ends when its starter does; the interface is the one that a longer-lived service
will have. Run it by name: `python -m backend_bench.service SOCKET`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import fastapi
import msgspec
import torch
import uvicorn

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.judge.devices import device_of, machine_facts
from backend_bench.judge.judge import Judge
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import Verdict

log = logging.getLogger(__name__)
T = TypeVar("T")

PARALLEL = {"cpu": 2, "cuda": 4}
"""Submissions in hand at once on a device: while one is timed or compiles, others are prepared."""


class Judges:
    """The judges of this host, opened when first needed."""

    def __init__(self) -> None:
        self._judges: dict[Device, Judge] = {}
        self._pools: dict[Device, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for judge in self._judges.values():
            judge.__exit__()

    async def submit(self, submission: Submission) -> Verdict:
        """Queue, judge, answer; the verdict says how long it waited."""
        queued = time.monotonic()
        return await self._run(submission.suite.device, functools.partial(_judge, submission, queued))

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        return await self._run(spec.device, lambda judge: judge.suite(spec).index())

    async def machine(self) -> dict[str, Any]:
        """Facts about this host, the build that judges, and what its sandbox holds."""
        facts = await asyncio.to_thread(machine_facts)
        walls = {device: await self._run(device, Judge.walls) for device in facts["devices"]}
        return {"version": backend_bench.__version__, **facts, "sandbox": walls}

    async def _run(self, device: Device, work: Callable[[Judge], T]) -> T:
        loop = asyncio.get_running_loop()
        pool = self._pool(device)
        return await loop.run_in_executor(pool, lambda: work(self._judge(device)))

    def _pool(self, device: Device) -> ThreadPoolExecutor:
        with self._lock:
            if device not in self._pools:
                self._pools[device] = ThreadPoolExecutor(PARALLEL[device], f"judge-{device}")
            return self._pools[device]

    def _judge(self, device: Device) -> Judge:
        with self._lock:
            if device not in self._judges:
                device_of(device)
                self._judges[device] = Judge(device)
            return self._judges[device]


def _judge(submission: Submission, queued: float, judge: Judge) -> Verdict:
    waited_s = round(time.monotonic() - queued, 6)
    verdict = judge.judge(submission)
    return dataclasses.replace(verdict, stages_s={"queue": waited_s, **verdict.stages_s})


def application(judges: Judges) -> fastapi.FastAPI:
    """The HTTP interface. Bodies are the JSON of the nouns."""

    @contextlib.asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        yield
        judges.close()

    app = fastapi.FastAPI(title="backend-bench judge", version=backend_bench.__version__, lifespan=lifespan)

    @app.exception_handler(UsageError)
    async def refuse(_: fastapi.Request, error: UsageError) -> fastapi.Response:
        return _json({"error": "usage", "message": str(error)}, 422)

    @app.exception_handler(BackendBenchError)
    async def fault(_: fastapi.Request, error: BackendBenchError) -> fastapi.Response:
        return _json({"error": type(error).__name__, "message": str(error)}, 503)

    @app.exception_handler(msgspec.ValidationError)
    async def invalid(_: fastapi.Request, error: msgspec.ValidationError) -> fastapi.Response:
        return _json({"error": "usage", "message": f"not a request: {error}"}, 422)

    @app.get("/v1/machine")
    async def machine() -> fastapi.Response:
        """Facts about this host, the build that judges, and what its sandbox holds."""
        return _json(await judges.machine())

    @app.post("/v1/index")
    async def index(request: fastapi.Request) -> fastapi.Response:
        """The operators and cases of a suite."""
        return _json(await judges.index(msgspec.json.decode(await request.body(), type=SuiteSpec)))

    @app.post("/v1/submissions")
    async def submissions(request: fastapi.Request) -> fastapi.Response:
        """Judge one kernel; answers when the verdict is there."""
        submission = msgspec.json.decode(await request.body(), type=Submission)
        return _json(await judges.submit(submission))

    return app


def _json(body: Any, status: int = 200) -> fastapi.Response:
    return fastapi.Response(msgspec.json.encode(body), status, media_type="application/json")


def main(path: str) -> None:
    """Serve on a Unix socket until standard input closes."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    # Several submissions at once fill the cores; threads of one tensor would wait for each other.
    torch.set_num_threads(1)
    config = uvicorn.Config(application(Judges()), uds=path, log_level="warning", lifespan="on", ws="none")
    server = uvicorn.Server(config)

    def end_with_starter() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        # A judge may sit in a call that takes a minute; nobody waits for its verdict any more.
        threading.Timer(5.0, lambda: os._exit(0)).start()

    threading.Thread(target=end_with_starter, daemon=True).start()
    server.run()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
