"""Two places judge one submission: correctness at the first, performance at the second, and the verdict is one.

`gpu="cpu then H100"` is such a place; `correctness_on` and `performance_on` make it. The second is asked only for what
is worth its price: a kernel that does not compile, cheats, crashes or hangs at the first is not timed. Judges
nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend_bench.cases import Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.executors import choose
from backend_bench.grading import halves
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import Verdict


class MixedExecutor:
    """Judges at two places. A submission says the device of the second; at the first it has that place's own."""

    def __init__(self, gpu: str) -> None:
        self._first, self._second = parts(gpu)
        self._correctness, self._performance = choose.choose(self._first), choose.choose(self._second)
        self._known: dict[SuiteSpec, SuiteIndex] = {}

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises what either place raises."""
        if submission.only == "performance":
            return await self._performance.submit(submission)
        there = await asyncio.to_thread(_spec_at, self._first, submission.suite)
        right = await self._correctness.submit(replace(submission, suite=there, only="correctness"))
        if submission.only == "correctness":
            return right
        if halves.is_worth_timing(right):
            fast = await self._performance.submit(replace(submission, only="performance"))
        else:
            fast = halves.not_timed(right, await self._performance_cases(submission))
        verdict = halves.joined(right, fast)
        note = f"correctness was judged on {self._first}, performance on {self._second}"
        return replace(verdict, notes=(*verdict.notes, note))

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The operators, with the correctness cases of the first and the performance cases of the second."""
        there = await asyncio.to_thread(_spec_at, self._first, spec)
        return _joined(*await asyncio.gather(self._correctness.index(there), self._performance.index(spec)))

    async def machine(self) -> Mapping[str, Any]:
        """Facts about the second, which takes the times, and beside them those of the first."""
        first, second = await asyncio.gather(self._correctness.machine(), self._performance.machine())
        return {**second, "correctness_on": dict(first)}

    async def aclose(self) -> None:
        """Both places are closed by who opened them: `choose.release`."""

    async def _performance_cases(self, submission: Submission) -> tuple[str, ...]:
        spec = submission.suite
        if spec not in self._known:
            self._known[spec] = await self._performance.index(spec)
        entry = self._known[spec].entries.get(str(submission.op))
        return entry.performance if entry is not None else ()


def parts(gpu: str) -> tuple[str, str]:
    """The two places. Raises `UsageError`."""
    first, _, second = (part.strip() for part in gpu.partition(choose.THEN))
    if not first or not second or choose.THEN in second:
        raise UsageError(f"gpu={gpu!r} names no two places; it looks like 'cpu{choose.THEN}local'")
    return first, second


def check(gpu: str) -> None:
    """Both must be places that can be used."""
    for part in parts(gpu):
        choose.check(part)


def executor(gpu: str) -> MixedExecutor:
    """The way to both."""
    return MixedExecutor(gpu)


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """The index of both, without an event loop."""
    first, second = parts(gpu)
    return _joined(choose.read_index(first, _spec_at(first, spec)), choose.read_index(second, spec))


def device(gpu: str) -> Device:
    """Where tensors live when times are taken: what a kernel is written for."""
    return choose.device(parts(gpu)[1])


def _spec_at(place: str, spec: SuiteSpec) -> SuiteSpec:
    return replace(spec, device=choose.device(place))


def _joined(first: SuiteIndex, second: SuiteIndex) -> SuiteIndex:
    """Which operators and cases there are is for each place to say, and the rest for the second."""
    nothing = Entry(op="")
    entries = {}
    for op in sorted({*first.entries, *second.entries}):
        right, fast = first.entries.get(op, nothing), second.entries.get(op, nothing)
        entries[op] = replace(
            fast if fast.op else right,
            correctness=right.correctness,
            correctness_calls=right.correctness_calls,
            performance=fast.performance,
            performance_calls=fast.performance_calls,
            reason=right.reason or fast.reason,
        )
    sources = dict.fromkeys((first.source, second.source))
    return replace(second, entries=entries, source=" then ".join(sources))
