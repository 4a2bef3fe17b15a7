"""Values of timed calls: fresh ones for each, half of them with spikes."""

from __future__ import annotations

import random

from backend_bench.cases import Call
from backend_bench.grading import forms, spikes
from backend_bench.operator import Operator
from backend_bench.submission import Profile
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseKind

SPIKED = 0.5
"""So many of the timed calls have spikes, where those tell something of an operator (`grading.spikes`): a part of its values will not do."""


class Values:
    """Draws the calls of one operator's performance cases."""

    def __init__(
        self, suite: Suite, op: Operator, cases: int, *, seeds: random.Random, profile: Profile
    ) -> None:
        self._suite, self._op, self._overload = suite, op, resolve(op)
        self._has_spikes = profile != "backendbench"
        # Of each case its own: how many are drawn while a worker is waited for is nobody else's concern.
        self._seeds = [random.Random(seeds.getrandbits(64)) for _ in range(cases)]

    def call(self, case: int) -> Call:
        """An ordinary one."""
        [call] = self._many(case, 1)
        return call

    def block(self, case: int, calls: int) -> tuple[Call, ...]:
        """So many, as they are timed."""
        many, values = self._many(case, calls), self._seeds[case]
        for call in many:
            if self._has_spikes and values.random() < SPIKED:
                spikes.spike(self._overload, call, values)
        return tuple(many)

    def _many(self, case: int, count: int) -> list[Call]:
        seed = self._seeds[case].getrandbits(48)
        calls = self._suite.draw_many(self._op, CaseKind.PERFORMANCE, case, seed, count)
        for call in calls:
            forms.settle(self._overload, call)
        return calls
