"""Waits for a worker's answer with the device shared, and lets those go first who want it alone.

A first call is nearly all compiling, and needs the device for its last milliseconds. So when somebody wants to time, the worker is
kept from the GPU, its share of the device is given up until he is done, and the compiler goes on meanwhile. Where the driver
cannot do that (`paused`) he waits for the answer. A worker that listens (`worker.driver`) is one with which it cannot; that one is
stopped, its compiler too, and what it has given the GPU is waited for (`quiet`). While nobody wants the device, the judge does what it will have to do anyway.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from backend_bench.judge import awake, paused
from backend_bench.judge.stages import Stages
from backend_bench.judge.zygotes import Life
from backend_bench.leases import Lease

log = logging.getLogger(__name__)

LOOK_S = 0.005
"""Between two looks at who wants the device."""
READ_S = 5.0
"""To read an answer that was there when its time was over: the judge may have been at something else."""

Meanwhile = Callable[[], bool]
"""Does a piece of other work, mostly of milliseconds; False where there is none left."""


def nothing() -> bool:
    """There is none."""
    return False


def done_meanwhile(life: Life, limit_s: float, meanwhile: Meanwhile) -> float:
    """Work until the worker answers or nothing is left to do; what is left of its time then."""
    deadline = awake.now() + limit_s
    while not life.channel.answers(0) and awake.now() < deadline and meanwhile():
        pass
    left_s = max(deadline - awake.now(), 0.0)
    return max(left_s, READ_S) if left_s < READ_S and life.channel.answers(0) else left_s


class Aside:
    """Steps aside on one device, for whoever wants it alone, on behalf of one submission."""

    def __init__(
        self, lease: Lease, stages: Stages, held_longer: Callable[[float], None], settle: Callable[[], None] = lambda: None,
        is_quiet: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """`settle` returns when what this process has given the device is done, `is_quiet` when nobody has it do anything, or says no."""
        self._lease, self._stages, self._held_longer = lease, stages, held_longer
        self._settle, self._is_quiet = settle, is_quiet
        self._refused = False
        """A worker could not be kept from the GPU."""
        self.waited_s = 0.0
        """In all; no limit of a submission counts it."""

    def wait(self, life: Life, limit_s: float, meanwhile: Meanwhile = nothing) -> float:
        """Return when the worker answers, is gone or is late; what is left of its time, which stands still while it is paused.

        Raises `paused.Undone`, and what `meanwhile` raises.
        """
        deadline, is_busy = awake.now() + limit_s, True
        while (
            self._can_step(life)
            and not life.channel.answers(0 if is_busy else LOOK_S)
            and awake.now() < deadline
        ):
            if self._lease.is_wanted():
                begun = awake.now()
                with self._stages("device"):
                    gave_way = self._step(life)
                took_s = awake.now() - begun
                if gave_way:
                    deadline += took_s
                    self.waited_s += took_s
                    self._held_longer(took_s)
                else:  # it goes on for as long as it stood still, in its own time
                    life.channel.answers(min(took_s, max(deadline - awake.now(), 0.0)))
            elif is_busy:
                is_busy = meanwhile()
        return done_meanwhile(life, deadline - awake.now(), meanwhile)

    def _can_step(self, life: Life) -> bool:
        return (life.listens or paused.is_offered()) and not self._refused

    def _step(self, life: Life) -> bool:
        """Aside, and back when nobody wants it any more; whether that came to be."""
        try:
            with _off_the_gpu(life):
                self._settle()  # what was done meanwhile
                if life.listens and not self._is_quiet():
                    return False  # as below
                self._lease.give_way()
            return True
        except paused.Busy:
            return False  # it is in the middle of a long kernel: the next try may do
        except paused.Refused as error:
            log.warning("%s", error)
            self._refused = True
            return False


def _off_the_gpu(life: Life) -> contextlib.AbstractContextManager[object]:
    """It gives the GPU nothing inside. Raises as `paused.kept_from_the_gpu` does."""
    if life.listens:
        return _stopped(life)
    return paused.kept_from_the_gpu(life.processes(), when_stuck=life.interrupt)


@contextlib.contextmanager
def _stopped(life: Life) -> Iterator[None]:
    try:
        if not life.freeze():
            raise paused.Refused(
                "the processes of a worker that listens do not stand still when they are stopped"
            )
        yield
    finally:
        life.thaw()
