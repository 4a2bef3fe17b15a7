"""Times a candidate, and calls it, once more where it is heard which kernels it has the GPU run.

A worker that listens cannot be paused, so nobody listens before all is timed. Then the candidate's own worker begins to, which has a context and
has compiled everything. If nothing speaks against the kernel there, that is all. Whatever does decides nothing: its file was loaded a second time in
one process, and what it keeps of the first is strange to who listens. So the candidate gets a worker that listens from its birth then, and what comes
of the calls there counts as all else does. Which kernels may run is said elsewhere (`audit`).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend_bench.grading import forms
from backend_bench.judge import audit, correctness, performance
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.correctness import Ahead, Attempt
from backend_bench.judge.keeper import Ended
from backend_bench.operator import Operator
from backend_bench.submission import Submission
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseResult, CaseStatus, Evidence

HEARD = 4
"""Calls of correctness cases."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of some calls that were heard."""

    calls: list[audit.Operators]
    """What the kernel called and had the GPU run, in each."""
    results: list[CaseResult]
    """Of cases that failed there, or took longer."""
    evidence: list[Evidence]
    """Everything else that speaks against the kernel."""
    ended: Ended | None = None
    compile_error: str = ""

    @property
    def is_clean(self) -> bool:
        """Nothing speaks against the kernel, and it is known of all that ran where it comes from."""
        against = self.results or self.evidence or self.ended or self.compile_error
        return not against and not any(call.heard.has_strangers for call in self.calls)


@dataclass(frozen=True, slots=True)
class Listening:
    """Calls one submission's kernel where it is heard."""

    bench: Bench
    suite: Suite
    submission: Submission
    texts: Sequence[str]
    """Of the correctness cases."""
    timing: performance.Timing | None
    """That has run; None where nothing is timed."""
    seed: int

    def late(self) -> list[Findings] | None:
        """In the worker that the candidate has; None where something speaks against it, or nobody can listen there."""
        found: list[Findings] = []
        try:
            if self.bench.listen_late():
                return None
            for part in (self._few, self._times):  # what takes longer is last
                found.append(part())
                if not found[-1].is_clean:
                    return None
        except (CompileFailed, Ended):
            return None
        return found

    def from_birth(self) -> Iterator[Findings]:
        """In a worker that listens. What is timed is heard first: a kernel that ends there has no times. Raises `CompileFailed` or `Ended`."""
        self.bench.candidate()
        times = self._times()
        yield times
        if times.ended is None or not self.bench.give_up(times.ended):
            yield self._few()

    def _times(self) -> Findings:
        phase = self.timing.heard() if self.timing is not None else performance.Phase()
        calls = [call for calls in phase.operators.values() for call in calls]
        found = audit.of_submission(self.submission, calls, are_few=True)
        return Findings(calls, phase.results, phase.evidence + found, phase.ended)

    def _few(self) -> Findings:
        op, seed, profile = self.submission.op, self.seed, self.submission.profile
        if not self.texts:
            return Findings([], [], [])
        draw = functools.partial(_a_few, self.suite, op, seed=seed)
        ahead = Ahead(self.bench, self.suite, op, len(self.texts), seed=seed, profile=profile, draw=draw)
        phase = correctness.call_some(self.bench, ahead, self.texts)
        return Findings(
            phase.operators,
            [case for case in phase.results if not case.passed and case.status is not CaseStatus.NOT_RUN],
            phase.evidence + audit.of_submission(self.submission, phase.operators, are_few=True),
            phase.ended,
            phase.compile_error,
        )


def _a_few(suite: Suite, op: Operator, *, seed: int) -> list[Attempt]:
    rng = random.Random(seed)
    able = list(correctness.fresh(suite, op, rng))
    some = rng.sample(able, min(HEARD, len(able)))
    for attempt in some:
        forms.settle(resolve(op), attempt.call)
    return some
