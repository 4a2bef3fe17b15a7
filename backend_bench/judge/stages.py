"""Where the time of one submission goes: each moment belongs to one stage, the innermost that is open.

So the stages add up to the whole. Belongs to the one thread that judges the submission.

stage         what happens in it
fork          a worker is had: waiting for a spare, or forking one
load          the worker imports the kernel's file
draw          inputs are drawn
oracle        the reference results are computed
first_calls   the kernel's first call of each case: compilation, where there is one, and a run
run           its other calls, copies of the outputs included
check         outputs are compared
listen        once more, to hear which kernels the GPU is given
timing        calls are timed, and what a case takes is found out
device        waiting for the device: somebody else has it for timing, or others share it still
other         everything else: opening the suite, killing the workers
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Literal

Stage = Literal[
    "fork", "load", "draw", "oracle", "first_calls", "run", "check", "timing", "listen", "device", "other"
]


class Stages:
    """A clock for each stage; exactly one of them runs."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent: dict[Stage, float] = {}
        self._current: Stage = "other"
        self._since = now()

    @contextlib.contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Time goes to this stage, except where another is opened inside."""
        outer = self._switch(stage)
        try:
            yield
        finally:
            self._switch(outer)

    def spent_s(self) -> dict[str, float]:
        """Seconds by stage so far; their sum is the time since this was made."""
        self._switch(self._current)
        return {stage: round(seconds, 6) for stage, seconds in self._spent.items()}

    def _switch(self, to: Stage) -> Stage:
        now, before = self._now(), self._current
        self._spent[before] = self._spent.get(before, 0.0) + now - self._since
        self._current, self._since = to, now
        return before
