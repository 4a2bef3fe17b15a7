"""What runs in a Modal container: it starts this host's judge service there and hands it what comes.

One container, one request at a time; unless it was deployed to be reused, one request in all. A reused one
needs every wall of the sandbox that keeps a submission from the next one, and ends when a fault of its own
shows. Judges nothing itself, decodes nothing of a worker, and asks nothing of Modal: it may not.

A memory snapshot is taken after `warm`, with the service, its judge and a zygote running, and torch imported
in the latter two. None has looked for a GPU by then, so there is no CUDA state to be saved, and each container
draws its seeds after it was restored. What does not wake up is started anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
from typing import Any

import modal

import backend_bench
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.executors import local, services
from backend_bench.executors.local import LocalExecutor
from backend_bench.executors.modal import letters
from backend_bench.executors.modal.letters import Answer, Request, Stamp
from backend_bench.suites import index_cache
from backend_bench.suites.defaults import filled
from backend_bench.verdict import Status

REUSE = "BACKEND_BENCH_MODAL_REUSE"
"""Variable of the image: whether a container may judge a second submission."""
SEALED = ("pid-namespace", "mount-view", "net-namespace", "capabilities", "no-new-privs", "seccomp")
"""Walls without which one submission could leave something behind for the next."""
WARM_LIMIT_S = 120.0
"""For the judge and its zygote to import torch; a snapshot before that is as right, only slower."""
WAKE_LIMIT_S = 60.0
"""For a restored service to say what machine it is on, the first look at the GPU included."""
LEAVE_S = 0.5
"""For an answer to be sent, by a container that then ends."""
_LOOK_S = 0.05


class Judge:
    """One container's life: Modal makes it, calls `warm` and `open`, then `answer` for each request."""

    @modal.enter(snap=True)
    async def warm(self) -> None:
        """Before the snapshot, on a machine without a GPU: the judge and its zygote import torch."""
        judge = LocalExecutor()
        with contextlib.suppress(TimeoutError, BackendBenchError):  # `open` meets it again, and says so
            async with asyncio.timeout(WARM_LIMIT_S):
                while not (await judge.service())["warm"]:
                    await asyncio.sleep(_LOOK_S)
        await judge.aclose()

    @modal.enter()
    async def open(self) -> None:
        """After it: the machine's facts, which look at the GPU for the first time."""
        began = time.monotonic()
        self._judge = LocalExecutor()
        self._reused = os.environ.get(REUSE) == "1"
        self._number = 0
        self._machine: dict[str, Any] = {}
        self._refusal = Answer()
        try:
            self._machine = await self._wake()
        except BackendBenchError as error:
            self._refusal = Answer(fault="ours", message=str(error))
        else:
            if self._reused and (missing := _missing(self._machine)):
                self._refusal = Answer(
                    fault="usage",
                    message=f"a container in Modal cannot be reused: its sandbox lacks {', '.join(missing)}; "
                    "`backend-bench deploy modal` without --reuse",
                )
        self._start_s = time.monotonic() - began

    @modal.method()
    async def answer(self, data: bytes) -> bytes:
        """One letter in, one letter out; whatever goes wrong is in it."""
        began = time.monotonic()
        self._number += 1
        stamp = letters.unpack(data, Stamp)
        answer = await self._answer(stamp, data)
        if self._reused and _is_spoilt(answer):
            _end_soon()
        answer = dataclasses.replace(
            answer,
            machine=self._machine,
            container=os.environ.get("MODAL_TASK_ID", ""),
            number=self._number,
            start_s=self._start_s if self._number == 1 else 0.0,
            held_s=time.monotonic() - began,
        )
        return _packed(answer, short=stamp.short)

    async def _wake(self) -> dict[str, Any]:
        """Facts of the service; one that does not answer, or overlooks the GPU, is ended, and another is asked."""
        with contextlib.suppress(TimeoutError, BackendBenchError):
            async with asyncio.timeout(WAKE_LIMIT_S):
                facts = dict(await self._judge.machine())
            # A torch that looked before the snapshot remembers for ever that there was none.
            if local.device("local") in facts["devices"]:
                return facts
        for seen in services.running():
            services.end(seen)
        return dict(await self._judge.machine())

    async def _answer(self, stamp: Stamp, data: bytes) -> Answer:
        if stamp.build != letters.build():
            return Answer(
                fault="usage",
                message=f"the judge in Modal is another build ({backend_bench.__version__}, {letters.build()[:12]}) "
                f"than the client ({stamp.version}, {stamp.build[:12]}): `backend-bench deploy modal` again",
            )
        if self._refusal.fault:
            return self._refusal
        try:
            return await self._asked(letters.unpack(data, Request))
        except UsageError as error:
            return Answer(fault="usage", message=str(error))
        except BackendBenchError as error:
            return Answer(fault="ours", message=str(error))

    async def _asked(self, request: Request) -> Answer:
        if (submission := request.submission) is not None:
            if self._reused and submission.sandbox == "off":
                raise UsageError("a container that is reused judges nothing without a sandbox")
            if not self._reused:  # a service that opens a part of a suite can judge that part only
                for name, part in request.parts.items():
                    index_cache.write(filled(submission.suite), name, part)
            return Answer(verdict=await self._judge.submit(submission))
        if request.suite is not None:
            index = await self._judge.index(request.suite)
            found = {name: index_cache.read(index.spec, name, dict[str, Any]) for name in letters.BESIDE}
            return Answer(index=index, beside={name: part for name, part in found.items() if part})
        return Answer()


def _packed(answer: Answer, *, short: bool) -> bytes:
    """The answer's bytes, or word that they are too many."""
    data = letters.pack(answer)
    if not short or len(data) <= letters.SHORT:
        return data
    return letters.pack(Answer(fault="long", container=answer.container))


def _is_spoilt(answer: Answer) -> bool:
    """Whether the next request would meet a fault of this machine, or what a kernel left behind."""
    if (verdict := answer.verdict) is None:
        return answer.fault == "ours"
    # None are named where no kernel ran.
    had_walls = not verdict.sandbox or set(SEALED) <= set(verdict.sandbox)
    return verdict.status is Status.ERROR or not had_walls


def _end_soon() -> None:
    """Leave once the answer is out; who is taken in meanwhile is tried again elsewhere.

    Not by a signal: this may be process 1, which ignores those that it does not handle.
    """
    threading.Timer(LEAVE_S, os._exit, (0,)).start()


def _missing(machine: dict[str, Any]) -> list[str]:
    """Walls that do not hold around the workers of every device, of those that a second life needs."""
    devices = machine.get("sandbox", {}).values()
    return [wall for wall in SEALED if not devices or not all(wall in walls["holds"] for walls in devices)]
