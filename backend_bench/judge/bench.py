"""The bench that one submission is judged on: its workers, its limits, its clock.

Opens a candidate's worker or a twin's, restarts a crashed candidate a few times, and turns a case's
draw into claims and private copies. Decides nothing about right or wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.grading.alike import FORM
from backend_bench.grading.checker import Observed, Output
from backend_bench.judge import awake, blocks
from backend_bench.judge.aside import Meanwhile
from backend_bench.judge.blocks import Asked, Block
from backend_bench.judge.keeper import (
    PATIENT,
    BlockAnswer,
    Crashed,
    Ended,
    Forged,
    Keeper,
    Patience,
    TimedOut,
)
from backend_bench.judge.nursery import Wish
from backend_bench.judge.room import ROUND_OF_MUCH
from backend_bench.judge.stage import Meta
from backend_bench.judge.stay import Stay
from backend_bench.languages import PLUGINS
from backend_bench.submission import Language, Limits, Submission

RELAUNCHES = 2
"""A crash costs its own case and not the others; a kernel that crashes everywhere is stopped."""
ALONE_S, ALONE_CALLS = 60.0, 10
"""Nobody needs a device to himself for longer than this and so many calls at their limit: a slow kernel is timed a few times
(`keeper.Patience`), and what it gave the device after its answer has its own limit (`blocks.ENDLESS_S`)."""
SHARED_S = {"cpu": 900.0, "cuda": 240.0}
"""Nor beside others for longer than this and the longest that a kernel may take: the oracle may be slow, in double precision on one
core above all. On an H200 the slowest step of all suites takes a few seconds."""
UNTIMED_CHANNELS = 1
"""A driver makes contexts one after the other, and a single channel takes half the time of the usual eight (docs/design/service-life.md).
Who is timed has all of them: a kernel may use several streams."""


class CompileFailed(Exception):
    """The source did not load; the text is the error."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered call."""

    observed: Observed
    claims: wire.Done
    wall_us: float


@dataclass(frozen=True, slots=True)
class Ready:
    """What was asked for, planned for one worker."""

    keeper: Keeper
    asked: Asked
    block: Block | None
    """On a GPU."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Calls that were timed together."""

    observed: Callable[[], tuple[Observed, ...]]
    """What came of each call; nothing where one of them raised. Raises `Ended` where the worker's claims make no sense."""
    claimed_us: float
    """Time of all calls by the worker's clock."""
    wall_us: float
    """Time of all calls and everything around them by the judge's."""
    error: str = ""
    """Text of the exception, if one was raised."""
    operators: tuple[wire.OperatorCall, ...] = ()
    """What the kernel called and should not; on a CPU."""
    heard: wire.Heard = wire.UNHEARD
    is_late: bool = False
    """The judge was: the times mean nothing."""
    answer: BlockAnswer | None = None
    """What the worker said and left behind; on a GPU."""

    def is_alike(self, other: Timed) -> bool:
        """A quick look: whether both workers obviously came to the same, by what they claim of the outputs and by what lies there. No
        means nothing yet, and on a CPU it is always no."""
        if self.answer is None or other.answer is None or self.error or other.error:
            return False
        ours, theirs = self.answer.claims.calls, other.answer.claims.calls
        return (
            len(ours) == len(theirs)
            and all(map(_same_claims, ours, theirs))
            and self.answer.landing.is_alike(other.answer.landing)
        )


class Bench:
    """Workers for one submission. Use it as a context manager; leaving it leaves no process."""

    def __init__(self, submission: Submission, language: Language, stay: Stay) -> None:
        self._stay = stay
        self.limits: Limits = submission.limits
        self.device = stay.device
        self.stages = stay.stages
        self.interpreted = self.device.type in PLUGINS[language].interpreted_on
        self._wish = Wish(
            mode="interpreted" if self.interpreted and submission.kind == "candidate" else "native",
            sandbox=submission.sandbox,
            memory_bytes=submission.limits.memory_bytes,
            channels=UNTIMED_CHANNELS
            if self.device.type == "cuda" and submission.only == "correctness"
            else 0,
        )
        self._twin_wish = dataclasses.replace(self._wish, mode="native")
        self.can_listen = (
            submission.kind == "candidate"
            and submission.profile == "strict"
            and language != "pytorch"
            and self.device.type == "cuda"
        )
        """Which kernels the candidate has the GPU run matters, and can be heard."""
        if self.can_listen and submission.only == "correctness":
            self._wish = self._listening_wish
        self._reference = wire.Load("", "", "", reference=str(submission.op))
        self._load = (
            self._reference
            if submission.kind == "reference"
            else wire.Load(
                submission.source,
                submission.op.function,
                language,
                own_work=submission.profile == "strict",
            )
        )
        # What is waited aside is added later; a second attempt has the first one's behind it.
        self._deadline = awake.now() + submission.limits.total_s - self._waited_aside_s()
        self._clean: Keeper | None = None
        self._candidate: Keeper | None = None
        self._twin: Keeper | None = None
        self._relaunches = RELAUNCHES
        self._seen: set[tuple[object, str]] = set()
        """Cases, and forms of them, that the candidate's worker has met with the candidate's code."""
        self.sandbox: tuple[str, ...] = ()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.ExitStack() as ends:
            ends.callback(self._close_workers)
            if self._twin is not None and kind is None:
                ends.callback(self._stay.give_back, self._twin, self._twin_wish)
            elif self._twin is not None:  # in the middle of something
                ends.callback(self._twin.close)

    def sharing(self) -> contextlib.AbstractContextManager[None]:
        """Use the device beside others."""
        limit_s = SHARED_S[self.device.type] + max(self.limits.load_s, self.limits.first_call_s)
        return self._wait_uncounted(self._stay.shared(limit_s=limit_s))

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Have the device to oneself, for timing."""
        return self._wait_uncounted(self._stay.alone(limit_s=ALONE_S + ALONE_CALLS * self.limits.call_s))

    def holding_much(self) -> contextlib.AbstractContextManager[None]:
        """Hold much of the device's memory from when cases are drawn until they are checked, which others of this process do not meanwhile."""
        return self._wait_uncounted(self._stay.waited_for(ROUND_OF_MUCH))

    @contextlib.contextmanager
    def _wait_uncounted(self, held: contextlib.AbstractContextManager[None]) -> Iterator[None]:
        """Hold something; the wait for it is not the submission's own time."""
        asked = awake.now()
        with held:
            self._deadline += awake.now() - asked
            yield

    def candidate(self, meanwhile: Meanwhile | None = None) -> Keeper:
        """The candidate's worker, its source loaded; `meanwhile` is done while that is waited for. Raises `CompileFailed` or `Ended`."""
        if self._candidate is not None and self._candidate.alive:
            return self._candidate
        if self._candidate is not None:
            self._candidate.close()
            if self._relaunches == 0:
                raise Crashed("not run: the worker had died too often")
            self._relaunches -= 1
            self._candidate = None
        keeper = self.clean()
        self._candidate, self._clean = keeper, None
        self._seen.clear()
        with self.sharing():
            limit_s = self._left(self.limits.load_s)
            error = keeper.load(self._load, limit_s=limit_s, aside=self._stay.aside, meanwhile=meanwhile)
        if error:
            raise CompileFailed(wire.printable(error, wire.MAX_TEXT))
        return keeper

    @property
    def _listening_wish(self) -> Wish:
        return dataclasses.replace(self._wish, listens=True)

    @property
    def listens(self) -> bool:
        """The candidate's worker hears which kernels it has the GPU run."""
        return self._wish.listens

    def listen_late(self) -> str:
        """The candidate's worker listens from now on, its source loaded anew; why that cannot be, or an empty text. It is the last: another would
        not listen. Raises `Ended`."""
        keeper, self._relaunches = self._candidate, 0
        if keeper is None or not keeper.alive:
            return "it is gone"
        self._seen.clear()
        with self.sharing():
            if lack := keeper.listen(limit_s=self._left(self.limits.load_s)):
                return lack
            return keeper.load(self._load, limit_s=self._left(self.limits.load_s), aside=self._stay.aside)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """The candidate has another worker inside, which listens from its birth, and all its time again; it is gone afterwards, and so is the one
        before."""
        self._close_workers()
        kept = self._wish, self.sandbox, self._deadline
        self._wish = self._listening_wish
        self._deadline = awake.now() + self.limits.total_s - self._waited_aside_s()
        try:
            yield
        finally:
            self._wish, self.sandbox, self._deadline = kept
            self._close_workers()

    def _close_workers(self) -> None:
        """The candidate's, and the one that would become it."""
        with contextlib.ExitStack() as ends:
            for keeper in (self._clean, self._candidate):
                if keeper is not None:
                    ends.callback(keeper.close)
        self._clean = self._candidate = None
        self._relaunches = RELAUNCHES

    def clean(self) -> Keeper:
        """The worker that will become the candidate's; until then it holds ATen's own operator."""
        if self._clean is None:
            keeper = self._clean = self._stay.take(self._wish)
            assert keeper.sandbox is not None
            self.sandbox = (*keeper.sandbox.holds, *(f"missing: {what}" for what in keeper.sandbox.missing))
            keeper.load(self._reference, limit_s=self.limits.load_s)
        return self._clean

    def twin(self) -> Keeper:
        """A worker that holds ATen's own operator and no candidate code."""
        if self._twin is None or not self._twin.alive:
            if self._twin is not None:
                self._twin.close()
            self._twin = self._stay.borrow(self._twin_wish)
            self._twin.load(self._reference, limit_s=self.limits.load_s)
        return self._twin

    def call(
        self, keeper: Keeper, case: object, call: Call, metas: tuple[Meta | None, ...],
        *, form: str = "", record: bool = False, timed: bool = False, meanwhile: Meanwhile | None = None,
    ) -> Sample:  # fmt: skip
        """Call once and take copies of everything; `meanwhile` is done while the answer is waited for. Raises `Ended`.

        `form`: which of the draws that have another form than their case; each may have to be compiled, and has as much time as a first
        call.
        A timed call on a CPU gets its inputs in memory that the worker has not mapped before the
        request, and the worker is frozen at its reply: nothing is computed before or after.
        """
        staged = keeper.stage.lay_out(case, call, metas, record=record, fresh=timed)
        aside = None if timed else self._stay.aside
        answer = keeper.call(
            staged, limit_s=self._limit(keeper, case, form), freeze=timed, aside=aside, meanwhile=meanwhile
        )
        try:
            copies, inputs = keeper.stage.outputs_after(staged), keeper.stage.inputs_after(staged)
        finally:
            if timed:
                keeper.thaw()
        with _forgery_of(keeper):
            outputs = _outputs(answer.claims, copies)
        observed = Observed(outputs=outputs, single=answer.claims.single, inputs=inputs)
        return Sample(observed, _presentable(answer.claims), answer.wall_us)

    def prepare(self, keeper: Keeper, many: Sequence[Asked]) -> list[Ready]:
        """Plan what a worker is to be timed on, and have it make room; what was planned for it before is void. Raises `Ended`."""
        if self.device.type == "cpu" or not many:
            return [Ready(keeper, asked, None) for asked in many]
        # Memory is the driver's to give, and contexts in the making keep it busy.
        limit_s = self.limits.first_call_s
        planned = keeper.plan(
            many,
            limit_s=self._left(limit_s) if keeper is self._candidate else limit_s,
            aside=self._stay.aside,
        )
        return [Ready(keeper, asked, block) for asked, block in zip(many, planned, strict=True)]

    def timed(
        self, many: Sequence[Ready], rewrite: Sequence[bool], *, patience: Patience = PATIENT
    ) -> list[Timed]:
        """Time calls of one case in one worker, block by block, as long as patience lasts. Raises `Ended`.

        `rewrite`, for each: whether those behind the pause get their own inputs only then; before, they are shown those of earlier ones.
        """
        [keeper], [number] = {ready.keeper for ready in many}, {ready.asked.case for ready in many}
        case = ("timed", number)
        blocks = [
            (ready.block, each) for ready, each in zip(many, rewrite, strict=True) if ready.block is not None
        ]
        if not blocks:
            return [self._timed_call(ready, case) for ready in many]
        answers = keeper.run_blocks(blocks, limit_s=self._limit(keeper, case), patience=patience)
        return [_timed(keeper, answer) for answer in answers]

    def _timed_call(self, ready: Ready, case: object) -> Timed:
        """On a CPU."""
        [call] = ready.asked.calls
        sample = self.call(ready.keeper, case, call, ready.asked.metas, timed=True)
        claims = sample.claims
        return Timed(
            lambda: (sample.observed,), claims.elapsed_us, sample.wall_us, claims.error, claims.operators
        )

    def rehearse(self, ready: Ready) -> str:
        """Call the reference before it is timed: a first call loads what it needs. The text of its error, or an empty one."""
        case = ("timed", ready.asked.case)
        if ready.block is not None:
            limit_s = self._limit(ready.keeper, case)
            return ready.keeper.rehearse(ready.block, limit_s=limit_s, aside=self._stay.aside)
        [call] = ready.asked.calls
        return self.call(ready.keeper, case, call, ready.asked.metas).claims.error

    def reserve(self, nbytes: int) -> None:
        """Memory for what timed blocks leave behind; on a CPU there is nothing to prepare."""
        if self.device.type == "cuda":
            blocks.reserve(self.device, nbytes)

    def discard(self) -> None:
        """Let go of the candidate's worker; the next call gets a new one, while there are any left."""
        if self._candidate is not None:
            self._candidate.alive = False

    def give_up(self, error: Ended) -> bool:
        """Whether the rest of the cases is not worth a new worker."""
        return not isinstance(error, Crashed) or self._relaunches == 0

    def _limit(self, keeper: Keeper, case: object, form: str = "") -> float:
        """More time for the candidate's first call of a case, or of a form of it, in a worker: it may compile."""
        if keeper is not self._candidate:
            return self.limits.first_call_s  # the reference has all the time it needs
        first = (case, form) not in self._seen
        self._seen.add((case, form))
        return self._left(self.limits.first_call_s if first else self.limits.call_s)

    def _waited_aside_s(self) -> float:
        return self._stay.aside.waited_s if self._stay.aside is not None else 0.0

    def _left(self, limit_s: float) -> float:
        left = self._deadline + self._waited_aside_s() - awake.now()
        if left <= 0:
            raise TimedOut(f"the submission used up its {self.limits.total_s:g} s")
        return min(limit_s, left)


def _timed(keeper: Keeper, answer: BlockAnswer) -> Timed:
    error = wire.printable(answer.claims.error, wire.MAX_TEXT) if answer.claims.error else ""
    observed = functools.partial(_observed, keeper, answer)
    claims = answer.claims
    return Timed(
        observed, claims.elapsed_us, answer.wall_us, error,
        heard=claims.heard, is_late=answer.is_late, answer=answer,
    )  # fmt: skip


def _observed(keeper: Keeper, answer: BlockAnswer) -> tuple[Observed, ...]:
    if answer.claims.error:
        return ()
    copies = answer.landing.copies()
    with _forgery_of(keeper):
        return tuple(
            Observed(outputs=_outputs(claims, outputs), single=claims.single, inputs=inputs)
            for claims, outputs, inputs in zip(
                answer.claims.calls, copies.outputs, copies.inputs, strict=True
            )
        )


def _same_claims(ours: wire.Done, theirs: wire.Done) -> bool:
    """Whether the outputs of a call are of the same form by what both workers say, and their values where they should be."""
    if (ours.single, len(ours.outputs)) != (theirs.single, len(theirs.outputs)):
        return False
    return all(
        (one.copied or one.kind != "tensor")
        and all(getattr(one, name) == getattr(other, name) for name in (*FORM, "scalar", "copied"))
        for one, other in zip(ours.outputs, theirs.outputs, strict=True)
    )


@contextlib.contextmanager
def _forgery_of(keeper: Keeper) -> Iterator[None]:
    """Claims that do not fit together end the worker: no honest one makes them."""
    try:
        yield
    except (wire.BadFrame, ValueError, OverflowError, TypeError) as error:
        keeper.alive = False
        raise Forged(f"claims that no worker makes: {wire.printable(str(error), 200)}") from error


def _outputs(claims: wire.Done, copies: tuple[torch.Tensor | None, ...]) -> tuple[Output, ...]:
    padded = (*copies, *(None,) * len(claims.outputs))
    return tuple(
        Output(
            kind=claim.kind,
            type_name=wire.printable(claim.type_name, wire.MAX_NAME),
            plain=claim.plain,
            dtype=wire.printable(claim.dtype, wire.MAX_NAME),
            shape=claim.shape,
            stride=claim.stride,
            device=wire.printable(claim.device, wire.MAX_NAME),
            alias=claim.alias,
            same=claim.same,
            earlier=claim.earlier,
            value=_value(claim, copy),
        )
        for claim, copy in zip(claims.outputs, padded, strict=False)
    )


def _presentable(claims: wire.Done) -> wire.Done:
    """The claims with their texts fit for a report."""
    return msgspec.structs.replace(
        claims,
        error=wire.printable(claims.error, wire.MAX_TEXT),
        error_type=wire.printable(claims.error_type, wire.MAX_NAME),
        operators=tuple(
            msgspec.structs.replace(call, op=wire.printable(call.op, wire.MAX_OPERATOR))
            for call in claims.operators
        ),
    )


def _value(claim: wire.OutputClaim, copy: torch.Tensor | None) -> Any:
    if claim.kind == "tensor":
        return copy if claim.copied else None
    if claim.kind == "scalar":
        return wire.unpack_scalar(claim.scalar)
    return None
