"""The judges of this host, one for each device, and the queue in front of each.

A submission goes to the device of its kind with the shortest queue and waits for its turn there:
round-robin between clients, first come first served within one. Belongs to one event loop; the work
itself is done in threads, which have no share in the queues.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.errors import Abandoned, UsageError
from backend_bench.judge.cores import Share
from backend_bench.judge.devices import devices_of, machine_facts
from backend_bench.judge.judge import Judge
from backend_bench.judge.stay import Stay
from backend_bench.judge.turns import Turns
from backend_bench.judge.zygotes import Zygotes
from backend_bench.submission import Device, Sandbox, Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

PARALLEL = {"cpu": 2, "cuda": 4}
"""Submissions in hand at once on a device: while one is timed or compiles, others are prepared."""
ASIDE = 1
"""Threads of a device beside those: for indexes and facts, which wait for no submission."""
REMEMBERED = 50
"""Finished submissions that a view may still ask about."""


@dataclasses.dataclass(eq=False, slots=True)
class _Place:
    """One submission's place, first in a queue and then at a judge."""

    number: int
    client: str
    submission: Submission
    verdict: asyncio.Future[Verdict]
    since: float
    """When it came, and once it runs, when that began; by `time.monotonic`."""
    stay: Stay | None = None
    unwanted: bool = False


class _Line:
    """One device: its queue, its judge and the threads that work there."""

    def __init__(self, device: torch.device, zygotes: Zygotes, share: Share) -> None:
        self.device = device
        self.turns: Turns[_Place] = Turns()
        self.running: list[_Place] = []
        self._parallel = PARALLEL[device.type]
        self._zygotes, self._share = zygotes, share
        self._judge: Judge | None = None
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(self._parallel + ASIDE, f"judge-{device}", self._settle)

    def _settle(self) -> None:
        """Suites and oracles say `cuda`: in these threads that is this device."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    @property
    def length(self) -> int:
        """Submissions here, waiting or in hand."""
        return len(self.turns) + len(self.running)

    @property
    def has_room(self) -> bool:
        return len(self.running) < self._parallel

    def judge(self) -> Judge:
        """The judge, opened when first asked for; call it in a thread of this line."""
        with self._opening:
            self._judge = self._judge or Judge(self.device, self._zygotes, self._share)
            return self._judge

    def work(self, do: Callable[[Judge], T]) -> asyncio.Future[T]:
        """Do something with the judge, in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: do(self.judge()))

    def close(self) -> None:
        for place in self.running:
            place.unwanted = True
            if place.stay is not None:
                place.stay.abandon()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._judge is not None:
            self._judge.__exit__()


class Judges:
    """Hands submissions to judges. All methods are for the thread of one event loop."""

    def __init__(self, zygotes: Zygotes, share: Share, *, sandbox: Sandbox) -> None:
        # Several submissions at once fill the cores; threads of one tensor would wait for each other.
        torch.set_num_threads(1)
        self._zygotes, self._share, self._sandbox = zygotes, share, sandbox
        self._lines: dict[str, _Line] = {}
        self._numbers = itertools.count(1)
        self._facts: asyncio.Task[dict[str, Any]] | None = None
        self.finished: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def close(self) -> None:
        """End the judges, and every worker."""
        for line in self._lines.values():
            line.close()
        self._zygotes.close()

    async def submit(self, submission: Submission, client: str) -> Verdict:
        """Queue, judge, answer; the verdict says how long it waited. Cancelling gives the place up.

        Raises `UsageError` for a request that makes no sense here.
        """
        if submission.sandbox != self._sandbox:
            raise UsageError(f"this service judges with sandbox={self._sandbox}, not {submission.sandbox}")
        line = min(self._of_kind(submission.suite.device), key=lambda line: line.length)
        place = _Place(
            next(self._numbers), client, submission, asyncio.get_running_loop().create_future(),
            time.monotonic(),
        )  # fmt: skip
        line.turns.add(client, place)
        self._next(line)
        try:
            return await place.verdict
        except asyncio.CancelledError:
            self._give_up(line, place)
            raise

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The operators and cases of a suite."""
        return await self._of_kind(spec.device)[0].work(lambda judge: judge.suite(spec).index())

    async def machine(self) -> dict[str, Any]:
        """Facts about this host, the build that judges, and what its sandbox holds; found once."""
        if self._facts is None or (self._facts.done() and self._facts.exception() is not None):
            self._facts = asyncio.ensure_future(self._find_facts())
        return await asyncio.shield(self._facts)

    async def languages(self) -> dict[str, dict[str, str]]:
        """For each kind of device the languages, and why one is not offered; nothing where it is."""
        kinds: list[Device] = ["cpu", *(("cuda",) if torch.cuda.is_available() else ())]
        return {
            kind: await self._of_kind(kind)[0].work(lambda judge: judge.languages(self._sandbox))
            for kind in kinds
        }

    def state(self) -> list[dict[str, Any]]:
        """Who waits and what runs, a device each; plain JSON."""
        now = time.monotonic()
        return [
            {
                "device": str(line.device),
                "waiting": line.turns.waiting(),
                "running": [
                    {"number": place.number, "op": str(place.submission.op), "client": place.client,
                     "for_s": round(now - place.since, 3)}
                    for place in line.running
                ],
            }
            for line in self._lines.values()
        ]  # fmt: skip

    def _next(self, line: _Line) -> None:
        """Start what there is room for."""
        while line.has_room and (place := line.turns.take()) is not None:
            line.running.append(place)
            queue_s = time.monotonic() - place.since
            place.since += queue_s
            work = line.work(functools.partial(_judge, place))
            work.add_done_callback(functools.partial(self._finish, line, place, queue_s))

    def _finish(
        self, line: _Line, place: _Place, queue_s: float, done: asyncio.Future[Verdict]
    ) -> None:  # fmt: skip
        line.running.remove(place)
        error = None if done.cancelled() else done.exception()
        verdict = done.result() if not done.cancelled() and error is None else None
        if not place.verdict.done():
            if verdict is not None:
                stages_s = {"queue": round(queue_s, 6), **verdict.stages_s}
                place.verdict.set_result(dataclasses.replace(verdict, stages_s=stages_s))
            else:
                place.verdict.set_exception(error or Abandoned("the service ends"))
        self.finished.append(
            {
                "number": place.number,
                "op": str(place.submission.op),
                "client": place.client,
                "device": str(line.device),
                "outcome": verdict.status if verdict else "dropped" if place.unwanted else "refused",
                "queue_s": round(queue_s, 3),
                "wall_s": round(time.monotonic() - place.since, 3),
            }
        )
        self._next(line)

    @staticmethod
    def _give_up(line: _Line, place: _Place) -> None:
        """Nobody waits for it any more: out of the queue, or out of the judge's hands."""
        place.unwanted = True
        if not line.turns.drop(place.client, place) and place.stay is not None:
            place.stay.abandon()

    def _of_kind(self, kind: Device) -> list[_Line]:
        devices = devices_of(kind)
        for device in devices:
            if str(device) not in self._lines:
                self._lines[str(device)] = _Line(device, self._zygotes, self._share)
        return [self._lines[str(device)] for device in devices]

    async def _find_facts(self) -> dict[str, Any]:
        facts = await asyncio.to_thread(machine_facts)
        lines: dict[Device, _Line] = {kind: self._of_kind(kind)[0] for kind in facts["devices"]}
        walls = {
            kind: await line.work(lambda judge: judge.walls(self._sandbox)) for kind, line in lines.items()
        }
        return {"version": backend_bench.__version__, **facts, **self._share.facts, "sandbox": walls}


def _judge(place: _Place, judge: Judge) -> Verdict:
    """In a thread: the verdict, unless the place was given up before."""
    place.stay = judge.stay()
    if place.unwanted:
        place.stay.abandon()
    return judge.judge(place.submission, place.stay)
