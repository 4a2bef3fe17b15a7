"""Calls a candidate once more where it is heard which kernels it has the GPU run.

A worker that listens cannot be paused, so none is timed in it: who has been timed gets a worker of its own for this. What comes of the calls
counts as all else does. Which kernels may run is said elsewhere (`audit`).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence

from backend_bench.grading import forms
from backend_bench.judge import correctness
from backend_bench.judge.bench import Bench
from backend_bench.judge.correctness import Ahead, Attempt
from backend_bench.operator import Operator
from backend_bench.submission import Profile
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseKind

HEARD = 4
"""Calls of correctness cases; of the timed ones each has one."""


def run(
    bench: Bench, suite: Suite, op: Operator, texts: Sequence[str], timed: Sequence[int], timed_texts: Sequence[str],
    *, seed: int, profile: Profile,
) -> correctness.Phase:  # fmt: skip
    """Call a draw of each of these performance cases, given by number, and then some of the correctness cases; the results are in that order.

    `bench` must be listening.
    """
    draws: list[Callable[[], list[Attempt]]] = [
        functools.partial(_one_timed, suite, op, case, number, seed=seed + case)
        for number, case in enumerate(timed)
    ]
    if texts:
        draws.append(functools.partial(_a_few, suite, op, len(timed), seed=seed))
    batches = (Ahead(bench, suite, op, len(texts), seed=seed, profile=profile, draw=draw) for draw in draws)
    return correctness.call_some(bench, batches, (*timed_texts, *texts))


def _one_timed(suite: Suite, op: Operator, case: int, number: int, *, seed: int) -> list[Attempt]:
    calls = suite.draw_many(op, CaseKind.PERFORMANCE, case, seed, 1)
    return _settled(op, [Attempt(number, call, "base") for call in calls])


def _a_few(suite: Suite, op: Operator, first: int, *, seed: int) -> list[Attempt]:
    """The first case has this number."""
    rng = random.Random(seed)
    able = list(correctness.fresh(suite, op, rng, first=first))
    return _settled(op, rng.sample(able, min(HEARD, len(able))))


def _settled(op: Operator, attempts: list[Attempt]) -> list[Attempt]:
    for attempt in attempts:
        forms.settle(resolve(op), attempt.call)
    return attempts
