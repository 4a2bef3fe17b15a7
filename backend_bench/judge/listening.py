"""Calls a candidate once more where it is heard which kernels it has the GPU run.

A worker that listens cannot be paused, so who is timed without being heard gets a worker of its own for this. What comes of the calls
counts as all else does. What is timed is heard before, by `performance`. Which kernels may run is said elsewhere (`audit`).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

from backend_bench.grading import forms
from backend_bench.judge import correctness
from backend_bench.judge.bench import Bench
from backend_bench.judge.correctness import Ahead, Attempt
from backend_bench.operator import Operator
from backend_bench.submission import Profile
from backend_bench.suites import Suite, resolve

HEARD = 4
"""Calls of correctness cases."""


def run(
    bench: Bench, suite: Suite, op: Operator, texts: Sequence[str], *, seed: int, profile: Profile
) -> correctness.Phase:
    """Call some of the correctness cases; the results are those of all, in their order.

    `bench` must be listening.
    """
    draw = functools.partial(_a_few, suite, op, seed=seed)
    ahead = Ahead(bench, suite, op, len(texts), seed=seed, profile=profile, draw=draw)
    return correctness.call_some(bench, ahead, texts)


def _a_few(suite: Suite, op: Operator, *, seed: int) -> list[Attempt]:
    rng = random.Random(seed)
    able = list(correctness.fresh(suite, op, rng))
    some = rng.sample(able, min(HEARD, len(able)))
    for attempt in some:
        forms.settle(resolve(op), attempt.call)
    return some
