"""Times a candidate, and calls it, once more where it is heard which kernels it has the GPU run.

A worker that listens cannot be paused, so nobody listens before all is timed. Then the candidate's own worker begins to, which has a context and
has compiled everything. If nothing speaks against the kernel there, that is all. Whatever does decides nothing: its file was loaded a second time in
one process, and what it keeps of the first is strange to who listens. So the candidate gets a worker that listens from its birth then, and what comes
of the calls there counts as all else does. Which kernels may run is said elsewhere (`audit`).
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from backend_bench.grading import forms
from backend_bench.judge import audit, correctness, performance
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.correctness import Ahead, Attempt
from backend_bench.judge.keeper import Ended
from backend_bench.languages import language_of
from backend_bench.operator import Operator
from backend_bench.submission import Submission
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseStatus, Evidence

HEARD = 4
"""Calls of correctness cases."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the calls in one worker."""

    submission: Submission
    times: performance.Phase
    """Of all that is timed. Its results are those that differ from what they were before."""
    few: correctness.Phase | None = None
    """Of some correctness cases; the results are those of all, in their order."""

    @property
    def calls(self) -> list[audit.Operators]:
        """What the kernel called and had the GPU run, of each."""
        timed = [call for calls in self.times.operators.values() for call in calls]
        return timed + (self.few.operators if self.few else [])

    @property
    def evidence(self) -> list[Evidence]:
        """Everything that speaks against the kernel, its figures aside."""
        found = audit.own_work(
            str(self.submission.op),
            language_of(self.submission),
            self.calls,
            source=self.submission.source,
            are_few=True,
        )
        return [*self.times.evidence, *(self.few.evidence if self.few else ()), *found]

    @property
    def is_clean(self) -> bool:
        """Nothing speaks against the kernel, and it is known of all that ran where it comes from."""
        few = self.few or correctness.Phase()
        return not (
            self.times.results
            or self.times.ended
            or few.ended
            or few.compile_error
            or any(not case.passed and case.status is not CaseStatus.NOT_RUN for case in few.results)
            or any(call.heard.has_strangers for call in self.calls)
            or self.evidence
        )


@dataclass(frozen=True, slots=True)
class Listening:
    """Calls one submission's kernel where it is heard. What is timed is heard first: a kernel that ends there has no times."""

    bench: Bench
    suite: Suite
    submission: Submission
    texts: Sequence[str]
    """Of the correctness cases."""
    timing: performance.Timing | None
    """That has run; None where nothing is timed."""
    seed: int

    def late(self) -> Heard | None:
        """In the worker that the candidate has; None where something speaks against it, or nobody can listen there."""
        try:
            if self.bench.listen_late():
                return None
            times = Heard(self.submission, self._times())
            heard = self._with_few(times) if times.is_clean else times
        except (CompileFailed, Ended):
            return None
        return heard if heard.is_clean else None

    def from_birth(self) -> Heard:
        """In a worker that listens. Raises `CompileFailed` or `Ended`."""
        self.bench.candidate()
        times = Heard(self.submission, self._times())
        gives_up = times.times.ended is not None and self.bench.give_up(times.times.ended)
        return times if gives_up else self._with_few(times)

    def _times(self) -> performance.Phase:
        return self.timing.heard() if self.timing is not None else performance.Phase()

    def _with_few(self, heard: Heard) -> Heard:
        if not self.texts:
            return heard
        op, seed, profile = self.submission.op, self.seed, self.submission.profile
        draw = functools.partial(_a_few, self.suite, op, seed=seed)
        ahead = Ahead(self.bench, self.suite, op, len(self.texts), seed=seed, profile=profile, draw=draw)
        return dataclasses.replace(heard, few=correctness.call_some(self.bench, ahead, self.texts))


def _a_few(suite: Suite, op: Operator, *, seed: int) -> list[Attempt]:
    rng = random.Random(seed)
    able = list(correctness.fresh(suite, op, rng))
    some = rng.sample(able, min(HEARD, len(able)))
    for attempt in some:
        forms.settle(resolve(op), attempt.call)
    return some
