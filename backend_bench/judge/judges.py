"""The judges of this host, one for each kind of device, opened when first asked for, and their queue."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.judge.devices import device_of, machine_facts
from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

PARALLEL = {"cpu": 2, "cuda": 4}
"""Submissions in hand at once on a device: while one is timed or compiles, others are prepared."""


class Judges:
    """Hands work to the judge of its device, first come first served."""

    def __init__(self, zygotes: Zygotes) -> None:
        # Several submissions at once fill the cores; threads of one tensor would wait for each other.
        torch.set_num_threads(1)
        self._zygotes = zygotes
        self._judges: dict[Device, Judge] = {}
        self._pools: dict[Device, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the judges, and every worker."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for judge in self._judges.values():
            judge.__exit__()
        self._zygotes.close()

    async def submit(self, submission: Submission) -> Verdict:
        """Queue, judge, answer; the verdict says how long it waited."""
        queued = time.monotonic()
        return await self._run(submission.suite.device, functools.partial(_judge, submission, queued))

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The operators and cases of a suite."""
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
                self._judges[device] = Judge(device, self._zygotes)
            return self._judges[device]


def _judge(submission: Submission, queued: float, judge: Judge) -> Verdict:
    waited_s = round(time.monotonic() - queued, 6)
    verdict = judge.judge(submission)
    return dataclasses.replace(verdict, stages_s={"queue": waited_s, **verdict.stages_s})
