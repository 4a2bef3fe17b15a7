"""Waits for a worker's answer with the device shared, and lets those go first who want it alone.

A first call is nearly all compiling, and needs the device for its last milliseconds. So when somebody wants to time, the worker is
kept from the GPU, its share of the device is given up until he is done, and the compiler goes on meanwhile. Where the driver
cannot do that (`paused`) he waits for the answer.
"""

from __future__ import annotations

import logging

from backend_bench.judge import awake, paused
from backend_bench.judge.leases import Lease
from backend_bench.judge.stages import Stages
from backend_bench.judge.zygotes import Life

log = logging.getLogger(__name__)

LOOK_S = 0.005
"""Between two looks at who wants the device."""


class Aside:
    """Steps aside on one device, for whoever wants it alone, on behalf of one submission."""

    def __init__(self, lease: Lease, stages: Stages) -> None:
        self._lease, self._stages = lease, stages
        self._works = paused.is_offered()
        """Until a worker could not be kept from the GPU."""
        self.waited_s = 0.0
        """In all; no limit of a submission counts it."""

    def wait(self, life: Life, limit_s: float) -> float:
        """Return when the worker answers, is gone or is late; what is left of its time, which stands still while it is paused."""
        deadline = awake.now() + limit_s
        while self._works and not life.channel.answers(LOOK_S) and awake.now() < deadline:
            if self._lease.is_wanted():
                begun = awake.now()
                with self._stages("device"):
                    self._step(life)
                self.waited_s += awake.now() - begun
                deadline += awake.now() - begun
        return max(deadline - awake.now(), 0.0)

    def _step(self, life: Life) -> None:
        """Aside, and back when nobody wants it any more."""
        try:
            with paused.kept_from_the_gpu(life.processes()):
                self._lease.give_way()
        except paused.Refused as error:
            log.warning("%s", error)
            self._works = False
