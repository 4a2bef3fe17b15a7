"""The judges of this host, and the queue in front of each device.

A submission goes to the device of its kind with the shortest queue and waits for its turn there:
round-robin between clients, first come first served within one. Judges are processes of their own (`hand`), a few for
a device, started when there is work for them. One that dies is replaced, and what it had in hand is judged anew, each by
itself: what ended it ends alone then, and what was beside it gets its verdict. Belongs to one event loop, and imports no torch.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import time
from collections import Counter, deque
from typing import Any, TypeVar

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.errors import Abandoned, JudgeError, NoJudge, UsageError
from backend_bench.judge import requests
from backend_bench.judge.cores import Share
from backend_bench.judge.requests import Seat
from backend_bench.service.hand import Errand, Hand, HandLost
from backend_bench.service.turns import Turns
from backend_bench.submission import Device, Sandbox, Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

AT_ONCE = 3
"""Submissions in hand at once in one process: while one compiles or waits for the device, the other is prepared."""
LOSSES = 1
"""Processes that one submission may see die. It has the next to itself; one that ends that, too, is told so."""
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
    queue_s: float = 0.0
    errand: Errand[Verdict] | None = None
    unwanted: bool = False
    lost: int = 0
    """Processes that died with it."""


class _Line:
    """One device: its queue, and the processes that judge there."""

    def __init__(self, seat: Seat) -> None:
        self.device, self.most = seat.device, seat.judges
        self.turns: Turns[_Place] = Turns()
        self.suspects: deque[_Place] = deque()
        """What saw a process die: judged one at a time, in a process that has nothing else in hand."""
        self.apart: Hand | None = None
        """The process that is theirs."""
        self.running: list[_Place] = []
        self.hands: list[Hand] = []
        self.starting: asyncio.Task[None] | None = None

    @property
    def length(self) -> int:
        """Submissions here, waiting or in hand."""
        return len(self.suspects) + len(self.turns) + len(self.running)

    @property
    def waiting(self) -> dict[str, int]:
        """How many wait, by client."""
        return dict(self.turns.waiting() + Counter(place.client for place in self.suspects))

    def free(self) -> Hand | None:
        """The process that has least to do, if one has room."""
        others = (hand for hand in self.hands if hand is not self.apart)
        hand = min(others, key=lambda hand: hand.running, default=None)
        return hand if hand is not None and hand.running < AT_ONCE else None

    def next(self) -> tuple[Hand, _Place] | None:
        """Who is judged next, and where; taken out of the queue."""
        if self.apart not in self.hands or not (self.suspects or self.apart.running):
            self.apart = None
        if self.suspects and self.apart is None:
            self.apart = min(self.hands, key=lambda hand: hand.running, default=None)
        if self.suspects and self.apart is not None and self.apart.running == 0:
            return self.apart, self.suspects.popleft()
        hand = self.free()
        place = self.turns.take() if hand is not None else None
        return None if hand is None or place is None else (hand, place)

    def drop(self, place: _Place) -> bool:
        """Give a place up; False where it is not waiting any more."""
        if place in self.suspects:
            self.suspects.remove(place)
            return True
        return self.turns.drop(place.client, place)

    @property
    def wants_more(self) -> bool:
        """Whether somebody waits and another process may be started."""
        waits = len(self.turns) + len(self.suspects) > 0
        return waits and len(self.hands) < self.most and self.starting is None


class Judges:
    """Hands submissions to judges. All methods are for the thread of one event loop."""

    def __init__(self, share: Share, *, sandbox: Sandbox) -> None:
        self._share, self._sandbox = share, sandbox
        self._lines: dict[Device, list[_Line]] = {}
        self._finding: dict[Device, asyncio.Task[list[_Line]]] = {}
        self._spare: Hand | None = None
        self._numbers = itertools.count(1)
        self._facts: asyncio.Task[dict[str, Any]] | None = None
        self.is_warm = False
        """Whether torch is imported where the first submission will be judged."""
        self.finished: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    async def warm(self) -> None:
        """Start the first process, so that it is ready sooner than it is asked."""
        (await self._anyone()).ask(requests.WarmUp(), str).answer.add_done_callback(self._warmed)

    def _warmed(self, done: asyncio.Future[str]) -> None:
        # What kept it from being warm is told to whoever asks it for a verdict.
        self.is_warm = done.exception() is None
        self._look_again()

    async def close(self) -> None:
        """End the judges, and every worker."""
        for line in self._all():
            if line.starting is not None:
                line.starting.cancel()
        await asyncio.gather(*(hand.close() for hand in self._hands()))

    async def submit(self, submission: Submission, client: str) -> Verdict:
        """Queue, judge, answer; the verdict says how long it waited. Cancelling gives the place up.

        Raises `UsageError` for a request that makes no sense here.
        """
        if submission.sandbox != self._sandbox:
            raise UsageError(f"this service judges with sandbox={self._sandbox}, not {submission.sandbox}")
        since = time.monotonic()
        line = min(await self._of_kind(submission.suite.device), key=lambda line: line.length)
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        place = _Place(next(self._numbers), client, submission, verdict, since)
        line.turns.add(client, place)
        self._next(line)
        try:
            return await verdict
        except asyncio.CancelledError:
            self._give_up(line, place)
            raise

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The operators and cases of a suite."""
        device = (await self._of_kind(spec.device))[0].device
        return await self._ask(requests.ReadIndex(device, spec), SuiteIndex)

    async def machine(self) -> dict[str, Any]:
        """Facts about this host, the build that judges, and what its sandbox holds; found once."""
        if self._facts is None or (self._facts.done() and self._facts.exception() is not None):
            self._facts = asyncio.ensure_future(self._ask(requests.TellFacts(self._sandbox), dict[str, Any]))
        return {"version": backend_bench.__version__, **await asyncio.shield(self._facts)}

    async def languages(self) -> dict[str, dict[str, str]]:
        """For each kind of device the languages, and why one is not offered; nothing where it is."""
        return await self._ask(requests.TellLanguages(self._sandbox), dict[str, dict[str, str]])

    def state(self) -> list[dict[str, Any]]:
        """Who waits and what runs, a device each; plain JSON."""
        now = time.monotonic()
        return [
            {
                "device": line.device,
                "judges": [hand.pid for hand in line.hands],
                "waiting": line.waiting,
                "running": [
                    {"number": place.number, "op": str(place.submission.op), "client": place.client,
                     "for_s": round(now - place.since, 3)}
                    for place in line.running
                ],
            }
            for line in self._all()
        ]  # fmt: skip

    # ---- the queue -------------------------------------------------------------------------------

    def _next(self, line: _Line) -> None:
        """Hand out what there is room for, and make room where there is none."""
        line.hands = [hand for hand in line.hands if hand.alive]
        while (found := line.next()) is not None:
            hand, place = found
            line.running.append(place)
            now = time.monotonic()
            place.queue_s += now - place.since
            place.since = now
            place.errand = hand.ask(requests.Judge(line.device, place.submission), Verdict)
            place.errand.answer.add_done_callback(functools.partial(self._finish, line, place))
        if line.wants_more:
            line.starting = asyncio.ensure_future(self._grow(line))

    async def _grow(self, line: _Line) -> None:
        """One more process for a device: the one that was started first of all, if nobody has it yet."""
        hand, self._spare = self._spare, None
        try:
            line.hands.append(hand if hand is not None and hand.alive else await Hand.start(self._share))
        except OSError as error:
            self._turn_away(line, NoJudge(f"no judge could be started: {error}"))
        finally:
            line.starting = None
        self._next(line)

    @staticmethod
    def _turn_away(line: _Line, error: JudgeError) -> None:
        """Nobody is there to judge them."""
        while not line.hands and (place := line.suspects.popleft() if line.suspects else line.turns.take()):
            place.verdict.set_exception(error)

    def _finish(self, line: _Line, place: _Place, done: asyncio.Future[Verdict]) -> None:
        line.running.remove(place)
        error = done.exception()
        if isinstance(error, HandLost) and not place.unwanted and place.lost < LOSSES:
            place.lost += 1
            place.since = time.monotonic()
            line.suspects.append(place)
        else:
            self._answer(line, place, done, _told(error))
        self._next(line)

    def _answer(
        self, line: _Line, place: _Place, done: asyncio.Future[Verdict], error: BaseException | None
    ) -> None:  # fmt: skip
        verdict = done.result() if error is None else None
        if not place.verdict.done():
            if verdict is not None:
                stages_s = {"queue": round(place.queue_s, 6), **verdict.stages_s}
                place.verdict.set_result(dataclasses.replace(verdict, stages_s=stages_s))
            else:
                place.verdict.set_exception(error or Abandoned("the service ends"))
        self.finished.append(
            {
                "number": place.number,
                "op": str(place.submission.op),
                "client": place.client,
                "device": line.device,
                "outcome": verdict.status if verdict else "dropped" if place.unwanted else "refused",
                "queue_s": round(place.queue_s, 3),
                "wall_s": round(time.monotonic() - place.since, 3),
            }
        )

    @staticmethod
    def _give_up(line: _Line, place: _Place) -> None:
        """Nobody waits for it any more: out of the queue, or out of the judge's hands."""
        place.unwanted = True
        if not line.drop(place) and place.errand is not None:
            place.errand.abandon()

    # ---- processes ---------------------------------------------------------------------------------

    def _all(self) -> list[_Line]:
        return [line for lines in self._lines.values() for line in lines]

    def _hands(self) -> list[Hand]:
        spare = [] if self._spare is None else [self._spare]
        return [*spare, *(hand for line in self._all() for hand in line.hands)]

    async def _of_kind(self, kind: Device) -> list[_Line]:
        """The devices of a kind, found once. Raises `DeviceUnavailable` where there is none."""
        if kind not in self._lines:
            if kind not in self._finding:
                self._finding[kind] = asyncio.ensure_future(self._found(kind))
            try:
                self._lines.setdefault(kind, await asyncio.shield(self._finding[kind]))
            finally:
                self._finding.pop(kind, None)
        return self._lines[kind]

    async def _found(self, kind: Device) -> list[_Line]:
        return [_Line(seat) for seat in await self._ask(requests.ListSeats(kind), list[Seat])]

    async def _anyone(self) -> Hand:
        """A process that lives; the first one if need be."""
        for hand in self._hands():
            if hand.alive:
                return hand
        self._spare = await Hand.start(self._share)
        return self._spare

    async def _ask(self, what: requests.Request, answer: type[T]) -> T:
        """Ask whoever is there; once more if he dies."""
        try:
            return await (await self._anyone()).ask(what, answer).answer
        except HandLost:
            return await (await self._anyone()).ask(what, answer).answer
        finally:
            self._look_again()

    def _look_again(self) -> None:
        """A question takes room at a process: whoever came meanwhile waits for the answer, and is not called else."""
        for line in self._all():
            self._next(line)


def _told(error: BaseException | None) -> BaseException | None:
    """A process that died with a submission alone died of it."""
    if isinstance(error, HandLost):
        return JudgeError(f"{error}; such a process died twice, the second time with nothing else in hand")
    return error
