"""One submission's stay on a device: the workers that it took, the device while it has it, and its end.

Whoever wants the verdict may go away at any time. Then the stay is abandoned: its workers are killed,
it gets no others, and the thread that judges comes to its end at the next step.

A thread that has the device and stands still (a driver that never returns has been seen) would keep every other judge of this
host waiting. Nothing in this process can wake it, so the process ends: the lease is free then, and the queue has what
was in hand judged elsewhere.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator

import torch

from backend_bench.errors import Abandoned
from backend_bench.judge import cores
from backend_bench.judge.aside import Aside
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Nursery, Wish
from backend_bench.judge.overdue import Watched, overdue
from backend_bench.judge.quiet import quiet
from backend_bench.judge.stages import Stages
from backend_bench.judge.twins import Twins
from backend_bench.leases import Lease

log = logging.getLogger(__name__)

UNFIT = 70
"""Exit status of a process that can judge no more: a thread stands still that has a device, or the device's context is gone."""


def end_process(why: str) -> None:
    """Leave, and say why and where every thread was; the queue has what was in hand judged elsewhere."""
    log.critical("%s: this process ends", why)
    faulthandler.dump_traceback()
    os._exit(UNFIT)


class Stay:
    """Workers and the device, for one submission. `abandon` may come from any thread."""

    def __init__(
        self, nursery: Nursery, twins: Twins, lease: Lease, share: cores.Share, *,
        when_stuck: Callable[[str], None] = end_process,
    ) -> None:  # fmt: skip
        self._nursery, self._twins, self._lease, self._share = nursery, twins, lease, share
        self._when_stuck = when_stuck
        self.stages = Stages()
        aside = Aside(lease, self.stages, self._held_longer, self._settle, self._is_quiet)
        self.aside = aside if nursery.device.type == "cuda" else None
        """How workers are waited for while the device is shared; on a CPU, where compilers are in a timing's way, to the end."""
        self._held: Watched | None = None
        """The limit of what this stay holds at the moment."""
        self._keepers: list[Keeper] = []
        self._lock = threading.Lock()
        self._abandoned = False

    @property
    def device(self) -> torch.device:
        """The device of the judge."""
        return self._nursery.device

    def take(self, wish: Wish) -> Keeper:
        """A ready worker. Raises `Abandoned`, `WorkerLost` or `SandboxUnavailable`."""
        return self._taken(self._nursery.take, wish)

    def borrow(self, wish: Wish) -> Keeper:
        """A twin, to be given back; one that served others before, where that saves time. Raises as `take` does."""
        return self._taken(self._twins.borrow, wish)

    def give_back(self, keeper: Keeper, wish: Wish) -> None:
        """What was borrowed, and is in no call."""
        with self._lock:  # a dead one is not among them any more where another was taken since
            self._keepers = [kept for kept in self._keepers if kept is not keeper]
        self._twins.give_back(keeper, wish)

    def _taken(self, take: Callable[[Wish], Keeper], wish: Wish) -> Keeper:
        self._check()
        with self.stages("fork"):
            keeper = take(wish)
        with self._lock:
            self._keepers = [kept for kept in self._keepers if kept.alive] + [keeper]
            too_late = self._abandoned
        if too_late:
            keeper.close()
            self._check()
        return keeper

    @contextlib.contextmanager
    def shared(self, *, limit_s: float) -> Iterator[None]:
        """Use the device beside others, for work that is not timed; who has it for longer stands still."""
        self._check()
        is_outermost = not self._lease.held
        with self.waited_for(self._lease.shared()), self._in_time(limit_s):
            try:
                yield
            finally:
                if is_outermost:
                    self._settle()

    def _settle(self) -> None:
        """What this process has given the device is done, so that nobody's timing meets it."""
        if self.device.type == "cuda" and torch.cuda.is_initialized():
            # A broken context has nothing to be done; that is told elsewhere.
            with contextlib.suppress(RuntimeError):
                torch.cuda.current_stream(self.device).synchronize()

    def _is_quiet(self) -> bool:
        """Whether, in a moment, nobody else has the device do anything."""
        try:
            return quiet(self.device).comes()
        except RuntimeError:
            return True  # as above

    @contextlib.contextmanager
    def alone(self, *, limit_s: float) -> Iterator[None]:
        """Have the device, and the cores that are kept for it, for timing; who has it for longer stands still."""
        self._check()
        # On a GPU's host that takes ten milliseconds, for which others would wait; and no processor is timed there.
        early = None if self.device.type == "cpu" else self._family()
        with (
            self.waited_for(self._lease.alone()),
            self._in_time(limit_s),
            cores.moved(self._share, self._family() if early is None else early),
        ):
            self._check()
            yield

    @contextlib.contextmanager
    def _in_time(self, limit_s: float) -> Iterator[None]:
        why = f"a device was held for more than {limit_s:g} s"
        outer = self._held
        with overdue().after(limit_s, functools.partial(self._when_stuck, why)) as self._held:
            try:
                yield
            finally:
                self._held = outer

    def _held_longer(self, seconds: float) -> None:
        """It was given up for so long in between."""
        if self._held is not None:
            self._held.deadline += seconds

    @contextlib.contextmanager
    def waited_for(self, lease: contextlib.AbstractContextManager[object]) -> Iterator[None]:
        """Hold what others may have at the moment; the wait is the device's."""
        held = contextlib.ExitStack()
        with self.stages("device"):
            held.enter_context(lease)
        try:
            yield
        finally:
            with self.stages("device"):
                held.close()

    def abandon(self) -> None:
        """Nobody wants the verdict any more. Kills the workers and returns at once."""
        with self._lock:  # else a twin that was given back meanwhile would be killed in the hands of another
            self._abandoned = True
            for keeper in self._keepers:
                keeper.interrupt()

    def _family(self) -> list[int]:
        with self._lock:
            return [pid for keeper in self._keepers if keeper.alive for pid in keeper.processes()]

    def _check(self) -> None:
        if self._abandoned:
            raise Abandoned("whoever asked for the verdict has gone")
