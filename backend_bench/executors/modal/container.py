"""What runs in a Modal container: it starts this host's judge service there and hands it what comes.

One container, one request at a time; unless it was deployed to be reused, one request in all. Judges
nothing itself, decodes nothing of a worker, and asks nothing of Modal: it may not.

A memory snapshot is taken after `warm`, with the service and its zygote running and torch imported in both.
Neither has looked for a GPU by then, so there is no CUDA state to be saved, and each container draws its
seeds after it was restored. What does not wake up is started anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from typing import Any

import modal

import backend_bench
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.executors import services
from backend_bench.executors.local import LocalExecutor
from backend_bench.executors.modal import letters
from backend_bench.executors.modal.letters import Answer, Request, Stamp

REUSE = "BACKEND_BENCH_MODAL_REUSE"
"""Variable of the image: whether a container may judge a second submission."""
SEALED = ("pid-namespace", "mount-view", "net-namespace", "capabilities", "no-new-privs", "seccomp")
"""Walls without which one submission could leave something behind for the next."""
WARM_LIMIT_S = 120.0
"""For the service and its zygote to import torch; a snapshot without them is as right, only slower."""
WAKE_LIMIT_S = 60.0
"""For a restored service to say what machine it is on, the first look at the GPU included."""
_LOOK_S = 0.05


class Judge:
    """One container's life: Modal makes it, calls `warm` and `open`, then `answer` for each request."""

    @modal.enter(snap=True)
    async def warm(self) -> None:
        """Before the snapshot, on a machine without a GPU: the service and its zygote import torch."""
        local = LocalExecutor()
        try:
            async with asyncio.timeout(WARM_LIMIT_S):
                while "native" not in (await local.service())["warm"]:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            pass
        finally:
            await local.aclose()

    @modal.enter()
    async def open(self) -> None:
        """After it: the machine's facts, which look at the GPU for the first time."""
        began = time.monotonic()
        self._judge = LocalExecutor()
        self._number = 0
        self._machine: dict[str, Any] = {}
        self._refusal = Answer()
        try:
            self._machine = await self._wake()
        except BackendBenchError as error:
            self._refusal = Answer(fault="ours", message=str(error))
        else:
            if os.environ.get(REUSE) == "1" and (missing := _missing(self._machine)):
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
        answer = dataclasses.replace(
            await self._answer(data),
            machine=self._machine,
            container=os.environ.get("MODAL_TASK_ID", ""),
            number=self._number,
            start_s=self._start_s if self._number == 1 else 0.0,
            held_s=time.monotonic() - began,
        )
        return letters.pack(answer)

    async def _wake(self) -> dict[str, Any]:
        """Facts of the service; a restored one that does not answer is ended, and another started."""
        with contextlib.suppress(TimeoutError, BackendBenchError):
            async with asyncio.timeout(WAKE_LIMIT_S):
                return dict(await self._judge.machine())
        for seen in services.running():
            services.end(seen)
        return dict(await self._judge.machine())

    async def _answer(self, data: bytes) -> Answer:
        stamp = letters.unpack(data, Stamp)
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
        if request.submission is not None:
            return Answer(verdict=await self._judge.submit(request.submission))
        if request.suite is not None:
            return Answer(index=await self._judge.index(request.suite))
        return Answer()


def _missing(machine: dict[str, Any]) -> list[str]:
    """Walls that do not hold around every worker of this machine, of those that a second life needs."""
    walls = machine.get("sandbox", {}).values()
    return [wall for wall in SEALED if not all(wall in of_device.get("holds", ()) for of_device in walls)]
