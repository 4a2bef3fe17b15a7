"""One worker, one life: launches it, gives it the source, passes calls, and sees it to its end.

Knows the limits and how a life can end. What a worker says is handed on as a claim.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, TypeVar

import msgspec
import torch

from backend_bench import wire
from backend_bench.errors import SandboxUnavailable, WorkerLost
from backend_bench.judge import awake, blocks, paused
from backend_bench.judge.aside import Aside, Meanwhile, done_meanwhile, nothing
from backend_bench.judge.blocks import ONE_AT_A_TIME, Asked, Block, Course, Landing, Queued
from backend_bench.judge.memory import Watch
from backend_bench.judge.stage import Stage, Staged
from backend_bench.judge.zygotes import Life

Reply = TypeVar("Reply")

QUEUE_LIMIT_S, QUEUE_CALL_S = 0.02, 5e-4
"""So long the device waits for the launches of a block, and so much more for each of its calls, whose launches take some 0.1 ms; a kernel
that asks for a result on the way waits for the device itself."""
READY_LIMIT_S = 60.0
"""From fork to locked in; a CUDA context under load has been seen to take 2 s."""
GPU_PAUSE = "gpu-pause"
"""The wall between a candidate and the timing of anybody else."""
LISTED_S = 0.1
"""A process that was started after the candidate's were looked up needs longer to have a CUDA context, at least 0.2 s. To look takes
0.6 ms on a host with an H200."""
END_LIMIT_S = 1.0
"""From a worker's last word to the news of its death; it may have closed its channel and live on."""


class Ended(Exception):
    """The worker's life ended in the candidate's hands; the text says how."""


class Crashed(Ended):
    """The worker died."""


class Killed(Crashed):
    """The worker was killed, and not by us: by itself, by its children, or by somebody on this host."""


class TimedOut(Ended):
    """The worker did not answer in time and was killed."""


class Forged(Ended):
    """The worker sent what no worker sends."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's claims about one call, and what the judge's own clock says."""

    claims: wire.Done
    wall_us: float
    """From the request to the reply by the judge's clock."""


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """A worker's claims about a block of calls, what it left behind, and what the judge's own clock says."""

    claims: wire.Timed
    landing: Landing
    wall_us: float
    """From before the inputs went in to after the outputs came out."""
    is_late: bool
    """The judge's own side was: the times mean nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long blocks are told one after the other."""

    least: int
    """So many in any case."""
    limit_s: float


PATIENT = Patience(0, math.inf)


@dataclass(frozen=True, slots=True)
class _Told:
    """A block that the worker has heard of."""

    number: int
    calls: int
    queued: Queued


class Keeper:
    """Keeps one worker. Use it as a context manager; leaving it leaves no process."""

    def __init__(self, life: Life, device: torch.device, *, memory_bytes: int) -> None:
        self._life = life
        self._memory_bytes = memory_bytes
        self._watch: Watch | None = None
        """There while there is candidate code in the worker."""
        self.stage = Stage(device)
        self._course: Course | None = None
        self.sandbox: wire.Ready | None = None
        self._listed: list[int] = []
        self._listed_at = -math.inf
        """Its processes, and when they were looked up."""
        self.alive = True
        self.served = 0
        """Submissions whose twin it was."""

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the worker and unmap its memory."""
        self.alive = False
        if self._watch is not None:
            self._watch.__exit__()
        self._life.kill()
        self._let_go()

    def _let_go(self) -> None:
        """Unmap what was shared with the worker."""
        course, self._course = self._course, None
        try:
            if course is not None:
                course.__exit__()
        finally:
            self.stage.__exit__()

    @property
    def lives(self) -> bool:
        """It has not died, as far as anybody knows."""
        return self.alive and not self._life.gone.is_set()

    def interrupt(self) -> None:
        """Kill the worker under whoever waits for it, from another thread; closing remains to be done."""
        self._life.interrupt()

    def processes(self) -> list[int]:
        """The worker's processes, as the host numbers them."""
        return self._life.processes()

    def wait_ready(self) -> wire.Ready:
        """Wait until it is locked in. Its failure before that is our fault: `WorkerLost`."""
        try:
            self.sandbox = self._life.channel.receive(wire.Ready, limit_s=READY_LIMIT_S, now=awake.now)
        except wire.ChannelTimeout as error:
            raise WorkerLost(f"worker {self._life.pid} not ready in {READY_LIMIT_S:g} s") from error
        except wire.ChannelClosed as error:
            self._life.gone.wait(READY_LIMIT_S)
            raise WorkerLost(
                f"worker {self._life.pid} died before any candidate ({self._end()}); "
                "the service's log has its last words"
            ) from error
        if self.sandbox.level == wire.REFUSED:
            raise SandboxUnavailable("; ".join(self.sandbox.missing))
        self._life.is_relayed = "pid-namespace" in self.sandbox.holds
        if self.stage.device.type == "cuda" and not self._life.listens:  # whom the driver does not pause
            missing = paused.missing(self.processes)
            if missing and self._life.gone.is_set():
                raise WorkerLost(f"worker {self._life.pid} died before any candidate ({self._end()})")
            self.sandbox = _with_pause(self.sandbox, missing)
        return self.sandbox

    def load(
        self, load: wire.Load, *, limit_s: float, aside: Aside | None = None, meanwhile: Meanwhile | None = None
    ) -> str:  # fmt: skip
        """Load a source; the text of its error, or an empty one. From here on the worker is the candidate's."""
        if load.source and self._watch is None:
            self._watch = Watch(
                self._life.family, self._memory_bytes, ours=self.stage.host_bytes, end=self._life.interrupt
            ).__enter__()
        self._send(load)
        return self._receive(wire.Loaded, limit_s, "while its file was imported", aside, meanwhile).error

    def listen(self, *, limit_s: float) -> str:
        """Have it hear from now on which kernels it has the GPU run; why that cannot be, or an empty text. Its source is to be loaded anew."""
        self._life.listens = True  # the driver does not keep it from the GPU any more, be it that it fails
        self._send(wire.Listen())
        return self._receive(wire.Loaded, limit_s, "while it began to listen").error

    def clear(self, *, limit_s: float) -> None:
        """Make it forget all calls, for the next who wants it: only a worker that never held candidate code."""
        if self._watch is not None:
            raise RuntimeError("a worker that held candidate code serves nobody else")
        self._let_go()
        self.stage = Stage(self.stage.device)
        self._send(wire.Clear())
        self._receive(wire.Loaded, limit_s, "while it was cleared")

    def call(
        self, staged: Staged, *, limit_s: float, freeze: bool = False, aside: Aside | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> Answer:  # fmt: skip
        """Call once. Raises `Ended` when the worker does not survive it.

        With `freeze` the worker stands still when this returns, until `thaw`; the wall time says when. With `aside` others
        may have the device alone meanwhile, and the wall time says nothing. `meanwhile` is done while it is waited for.
        """
        start = time.perf_counter_ns()
        self._send(staged.frame, staged.fds)
        claims = self._receive(wire.Done, limit_s, "in a call", aside, meanwhile)
        if freeze:
            self._freeze()
        wall_us = (time.perf_counter_ns() - start) / 1e3
        self._must_match(claims.number, staged.frame.number)
        return Answer(claims, wall_us)

    def plan(self, many: Sequence[Asked], *, limit_s: float, aside: Aside | None = None) -> list[Block]:
        """Blocks to be run one after the other, for which the worker makes room; what was planned before is void. Raises `Ended`."""
        course = self._course = self._course or Course(self.stage)
        planned = blocks.plan(self.stage, many)
        self._send(*course.room(many))
        # What it could not open it says when a block needs it.
        self._receive(wire.Loaded, limit_s, "while it made room for timed calls", aside)
        return planned

    def run_blocks(
        self, many: Sequence[tuple[Block, bool]], *, limit_s: float, patience: Patience = PATIENT
    ) -> list[BlockAnswer]:
        """Time blocks of calls on a GPU, each with whether its later inputs are rewritten, or the first of them if patience ends. While
        one runs, the worker is told of the next and that is queued. Raises `Ended` when the worker does not survive it.
        """
        course = self._course
        assert course is not None
        answers: list[BlockAnswer] = []
        left = list(reversed(many))
        with ONE_AT_A_TIME:
            until = awake.now() + patience.limit_s
            try:
                following: _Told | None = self._told(course, *left.pop(), limit_s)
                while (told := following) is not None:
                    is_over = len(many) - len(left) >= patience.least and awake.now() > until
                    following = None if is_over or not left else self._told(course, *left.pop(), limit_s)
                    answers.append(self._answer(course, told, following, limit_s))
            except BaseException:
                self._life.interrupt()  # else it might say something while its blocks are cleared away
                course.clear()
                raise
        return answers

    def _told(self, course: Course, block: Block, rewrite: bool, limit_s: float) -> _Told:
        """Tell the worker of a block, and queue the judge's side of it meanwhile."""
        frame = course.request(block)
        self._send(frame)
        deadline = awake.now() + limit_s

        def see_to_the_one_before() -> None:
            """As this thread would, which stands still: where its worker has answered or is gone, or is late."""
            if self._life.channel.answers(0):
                course.end(frame.turn - 2)
            elif awake.now() > deadline:
                self._life.interrupt()

        queued = course.queue(block, frame.turn, rewrite=rewrite, when_stalled=see_to_the_one_before)
        return _Told(frame.number, len(frame.calls), queued)

    def _answer(self, course: Course, told: _Told, following: _Told | None, limit_s: float) -> BlockAnswer:
        queued = told.queued
        # Before it answers it queues the next one, too, and may wait on the host for the results of that.
        for block in filter(None, (told, following)):
            if self._life.channel.answers(QUEUE_LIMIT_S + block.calls * QUEUE_CALL_S):
                break
            course.begin(block.queued.turn)
        claims = self._receive(wire.Timed, limit_s, "in a timed call")
        self._must_match(claims.number, told.number)
        wall_us = course.wall_us(queued)
        if wall_us is None:
            self._blame(TimedOut("it answered a timed call, and what it gave the device did not end: killed"))
        return BlockAnswer(claims, queued.landing, wall_us, queued.is_late)

    def rehearse(self, block: Block, *, limit_s: float, aside: Aside | None = None) -> str:
        """Run a block with its gate open, so that what its calls load is there when they are timed: only a worker that never held
        candidate code. The text of its error, or an empty one."""
        course = self._course
        assert course is not None
        with ONE_AT_A_TIME:
            frame = course.request(block)
            course.lay_in(block, frame.turn)
        self._send(frame)
        claims = self._receive(wire.Timed, limit_s, "in a first call", aside)
        self._must_match(claims.number, frame.number)
        return wire.printable(claims.error, wire.MAX_TEXT) if claims.error else ""

    def thaw(self) -> None:
        """Let a frozen worker go on."""
        self._life.thaw()

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing of this worker is beside a timing inside: on a CPU all of it is frozen, and so it is where it listens; on a GPU its
        processes are kept from the device, where the driver can do that; their processors go on. Raises `Ended` (`WorkerLost` without
        candidate code) where they do not let that be done.
        """
        if self.stage.device.type == "cpu" or self._life.listens:
            self._freeze()
            try:
                yield
            finally:
                self._life.thaw()
            return
        try:
            with self._kept_from_the_gpu():
                yield
        except paused.Undone as error:
            self._blame(Forged(str(error)), error)

    def _kept_from_the_gpu(self) -> contextlib.AbstractContextManager[object]:
        if not paused.is_offered():
            return contextlib.nullcontext()
        if time.monotonic() - self._listed_at > LISTED_S:
            self._listed, self._listed_at = self.processes(), time.monotonic()
        for is_last in (False, True):
            kept = contextlib.ExitStack()
            try:
                kept.enter_context(paused.kept_from_the_gpu(self._listed, when_stuck=self._life.interrupt))
            except paused.Busy as error:
                if is_last:
                    self._blame(TimedOut("its work on the device was not done long after its reply"), error)
            except paused.Refused as error:
                if self.lives:  # and it was possible when the judge began
                    self._blame(Crashed(str(error)), error)
            else:
                return kept
        return contextlib.nullcontext()

    def _freeze(self) -> None:
        if not self._life.freeze():
            self._life.thaw()
            self._blame(TimedOut("its processes do not stand still when they are stopped"))

    def _must_match(self, answered: int, asked: int) -> None:
        if answered != asked:
            self._blame(Forged("the worker answered a call that was not asked for"))

    def _send(
        self,
        frame: wire.Load | wire.Listen | wire.Clear | wire.Call | wire.Room | wire.Block,
        fds: tuple[int, ...] = (),
    ) -> None:
        try:
            self._life.channel.send(frame, fds, now=awake.now)
        except wire.ChannelClosed:
            self._died("before a request")
        except wire.ChannelTimeout as error:
            self._blame(TimedOut("the worker stopped reading requests: killed"), error)

    def _receive(
        self, kind: type[Reply], limit_s: float, when: str, aside: Aside | None = None,
        meanwhile: Meanwhile | None = None,
    ) -> Reply:  # fmt: skip
        try:
            left_s = limit_s
            if aside is not None:
                left_s = aside.wait(self._life, limit_s, meanwhile or nothing)
            elif meanwhile is not None:
                left_s = done_meanwhile(self._life, limit_s, meanwhile)
            return self._life.channel.receive(kind, limit_s=left_s, now=awake.now)
        except paused.Undone as error:
            self._blame(Forged(f"{when}: {error}"), error)
        except wire.ChannelTimeout as error:
            self._blame(TimedOut(f"no answer within {limit_s:g} s {when}: killed"), error)
        except wire.BadFrame as error:
            self._blame(Forged(f"a frame that no worker sends {when}: {error}"), error)
        except wire.ChannelClosed:
            self._died(when)

    def _died(self, when: str) -> NoReturn:
        # It may have closed the channel and live on: then the end is ours to make.
        self._life.gone.wait(END_LIMIT_S)
        if self._life.orphaned:
            self.alive = False
            raise WorkerLost(f"the zygote died {when} and took worker {self._life.pid} along")
        if self._watch is not None:
            self._watch.check()
            if self._watch.excess_bytes is not None:
                self._blame(
                    Crashed(
                        f"the worker was killed {when}: it held {self._watch.excess_bytes >> 20} MiB of memory, more "
                        f"than the {self._memory_bytes >> 20} MiB of this submission"
                    )
                )
        kind = Killed if self._life.status == -signal.SIGKILL else Crashed
        self._blame(kind(f"the worker died {when}: {self._end()}"))

    def _blame(self, end: Ended, cause: Exception | None = None) -> NoReturn:
        """The worker's life is over, by the candidate's doing; where there is none in it, by nobody's."""
        self.alive = False
        if self._watch is None:
            raise WorkerLost(f"a worker without a candidate: {end}") from cause
        raise end from cause

    def _end(self) -> str:
        status = self._life.status
        if status is None:
            return "it closed its channel"
        if status < 0:
            return f"killed by {_signal_name(-status)}"
        return f"exit code {status}"


def _with_pause(ready: wire.Ready, missing: str) -> wire.Ready:
    """A wall that the judge holds up itself. Raises `SandboxUnavailable` where it is required and cannot be had."""
    if missing and ready.level == "required":
        raise SandboxUnavailable(
            f"the sandbox is required and this machine refuses part of it: {GPU_PAUSE}: {missing}. "
            "Choose --sandbox best-effort to go on without"
        )
    if missing:
        return msgspec.structs.replace(ready, missing=(*ready.missing, f"{GPU_PAUSE}: {missing}"))
    return msgspec.structs.replace(ready, holds=(*ready.holds, GPU_PAUSE))


def _signal_name(number: int) -> str:
    """Real-time signals have no name in Python."""
    known = {named.value for named in signal.Signals}
    return signal.Signals(number).name if number in known else f"signal {number}"
