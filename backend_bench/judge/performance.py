"""Phase two: is it fast?

The reference runs first in the worker that will be the candidate's, before any candidate code is
loaded: that gives a time to compare with later, and what a call costs around a kernel in that very
process. Then it runs in a twin, a worker without candidate code, interleaved with the candidate.
Every timed call gets values that did not exist before it, and its output is checked: against the
twin's at the dtype's own tolerance, and where that does not settle it against the oracle. The
worker's times are claims; the judge's own wall clock bounds them. Times are taken while nobody else
uses the device.

Not covered yet: blocks of several calls, without which the bound means little for short kernels on a
GPU; a roofline floor; neighbours outside this service.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading import checker, oracle
from backend_bench.grading.alike import alike
from backend_bench.grading.speedup import Ratio, compare
from backend_bench.judge import correctness
from backend_bench.judge.bench import Bench, CompileFailed, Sample
from backend_bench.judge.keeper import Ended, Forged, Keeper
from backend_bench.judge.stage import Meta
from backend_bench.operator import Operator
from backend_bench.submission import Profile
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence

WARM_UP = 2
"""Calls of each side before sampling: compilation, caches, clocks coming up."""
BASELINE = 5
"""Samples of the reference before the candidate is loaded."""
MIN_ROUNDS = 12
"""Fewer pairs give no usable band."""
MAX_ROUNDS = 100
NOISE_GOAL = 0.01
"""Half-width of the ratio's band at which sampling stops."""
CASE_BUDGET_S = 0.6
"""Wall time for the rounds of one case, after which the band is what it is."""
SLOWED = 1.25
"""An interleaved reference this much slower than the one before counts as slowed."""
CLOCK_SLACK = 1.1
"""A claim below the wall clock's figure by more than this, and by the spread of what trusted calls cost
around a kernel, is not believed."""
CLOCK_SLACK_US = 100.0
"""On a GPU at least so much: a single call's hand-over differs from process to process."""
GROSS = 1.5
"""A claim that is contradicted by more than this is worth a person's look."""
SHORTEST_US = 1.5
"""No GPU has launched and finished a kernel in less."""
LEAST_US = 0.05
"""A Python call that does nothing takes longer."""
LEASE_LIMIT_S = 5.0
"""A kernel that is slow in timed calls gets `FEW_ROUNDS`, and others their turn."""
FEW_ROUNDS = 3


@dataclass(slots=True)
class Phase:
    """What phase two found."""

    results: list[CaseResult] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    ended: Ended | None = None


@dataclass(slots=True)
class _Times:
    """Raw samples of one side of one case, in microseconds."""

    claimed_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.claimed_us.append(sample.claims.elapsed_us)
        self.wall_us.append(sample.wall_us)

    @property
    def overheads_us(self) -> list[float]:
        """What each call cost around the kernel: hand-over, copying the outputs."""
        return [wall - claimed for wall, claimed in zip(self.wall_us, self.claimed_us, strict=True)]


class _Wrong(Exception):
    """A timed call failed; carries the case's status and message."""

    def __init__(self, status: CaseStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Timing:
    """Times one operator's performance cases. `before` first, then load the candidate, then `run`."""

    def __init__(
        self, bench: Bench, suite: Suite, op: Operator, texts: Sequence[str], *, seed: int, profile: Profile
    ) -> None:  # fmt: skip
        self._bench, self._suite, self._op = bench, suite, op
        self._texts = list(texts)
        self._profile: Profile = profile
        self._rng = random.Random(seed)
        self._overload = resolve(op)
        self._metas: dict[int, tuple[Meta | None, ...]] = {}
        self._before: dict[int, _Times] = {}
        self.phase = Phase()

    def before(self) -> None:
        """Time the reference where the candidate will run, while there is no candidate."""
        for case in range(len(self._texts)):
            with self._bench.sharing():
                self._metas[case] = self._describe(case)
            clean = self._bench.clean()
            times = _Times()
            with self._bench.alone():
                for number in range(WARM_UP + BASELINE):
                    sample = self._reference(clean, case, self._draw(case))
                    if number >= WARM_UP:
                        times.add(sample)
            self._before[case] = times

    def run(self) -> Phase:
        """Time every case against the twin."""
        for case, text in enumerate(self._texts):
            if self.phase.ended is not None and self._bench.give_up(self.phase.ended):
                self._note(case, CaseStatus.NOT_RUN, "not run: the worker was gone")
                continue
            try:
                self.phase.results.append(self._time(case, text))
            except _Wrong as error:
                self._note(case, error.status, str(error))
            except CompileFailed as error:
                self._note(case, CaseStatus.RAISED, str(error))
            except Ended as error:
                self.phase.ended = error
                if isinstance(error, Forged):
                    self.phase.evidence.append(Evidence(rule="forged_frame", detail=str(error)))
                self._note(case, correctness.status_of(error), str(error))
        return self.phase

    def _note(self, case: int, status: CaseStatus, message: str) -> None:
        self.phase.results.append(
            CaseResult(args=self._texts[case], kind=CaseKind.PERFORMANCE, status=status, message=message)
        )

    def _time(self, case: int, text: str) -> CaseResult:
        candidate, twin = self._bench.candidate(), self._bench.twin()
        reference, measured = _Times(), _Times()
        errors = _Errors()
        with self._bench.sharing():
            # The first call may compile for a minute; nobody should wait for that alone.
            call = self._draw(case)
            self._check(case, call, self._call(candidate, case, call), errors)
        with self._bench.alone():
            for _ in range(WARM_UP):
                self._round(case, twin, candidate, _Times(), _Times(), errors)
            started = time.monotonic()
            while not self._enough(reference, measured, started):
                self._round(case, twin, candidate, reference, measured, errors)
        return self._result(case, text, reference, measured, errors)

    def _round(
        self, case: int, twin: Keeper, candidate: Keeper, reference: _Times, measured: _Times,
        errors: _Errors,
    ) -> None:  # fmt: skip
        call = self._draw(case)
        if self._rng.random() < 0.5:
            ours = self._reference(twin, case, call)
            theirs = self._call(candidate, case, call)
        else:
            theirs = self._call(candidate, case, call)
            ours = self._reference(twin, case, call)
        if not alike(theirs.observed, ours.observed):
            self._check(case, call, theirs, errors)
        reference.add(ours)
        measured.add(theirs)

    @staticmethod
    def _enough(reference: _Times, measured: _Times, started: float) -> bool:
        rounds, spent_s = len(measured.claimed_us), time.monotonic() - started
        if rounds >= FEW_ROUNDS and spent_s > LEASE_LIMIT_S:
            return True
        if rounds < MIN_ROUNDS:
            return False
        if rounds >= MAX_ROUNDS or spent_s > CASE_BUDGET_S:
            return True
        return compare(reference.claimed_us, measured.claimed_us).noise <= NOISE_GOAL

    def _result(
        self, case: int, text: str, reference: _Times, measured: _Times, errors: _Errors
    ) -> CaseResult:
        ratio = compare(reference.claimed_us, measured.claimed_us)
        candidate_us = self._believed(case, ratio, reference, measured)
        reference_us = self._unslowed(case, ratio, reference)
        as_sampled = (reference_us, candidate_us) == (ratio.reference_us, ratio.candidate_us)
        return CaseResult(
            args=text,
            kind=CaseKind.PERFORMANCE,
            status=CaseStatus.PASSED,
            max_abs_error=errors.max_abs_error,
            max_rel_error=errors.max_rel_error,
            reference_us=reference_us,
            candidate_us=candidate_us,
            speedup=ratio.speedup if as_sampled else reference_us / candidate_us,
            noise=ratio.noise if ratio.noise < float("inf") else None,
        )

    def _believed(self, case: int, ratio: Ratio, reference: _Times, measured: _Times) -> float:
        """The candidate's time: its claim, unless the judge's wall clock contradicts it.

        On a CPU a claim is not believed either below what the wall clock can tell apart, unless the
        reference is as short.
        """
        trusted = reference.overheads_us + self._before[case].overheads_us
        overhead_us, spread_us = statistics.median(trusted), _spread(trusted)
        on_cpu = self._bench.device.type == "cpu"
        slack_us = 2 * spread_us if on_cpu else max(CLOCK_SLACK_US, 2 * spread_us)
        wall_us = statistics.median(measured.wall_us) - overhead_us
        claimed_us = ratio.candidate_us
        if claimed_us * CLOCK_SLACK + slack_us < wall_us:
            return self._overruled(case, claimed_us, wall_us)
        floor_us = min(ratio.reference_us, spread_us) if on_cpu else SHORTEST_US
        if claimed_us < floor_us:
            return self._overruled(case, claimed_us, floor_us)
        return claimed_us

    def _overruled(self, case: int, claimed_us: float, ours_us: float) -> float:
        """Our figure; a gross contradiction is noted, a small one is what load does."""
        if ours_us < claimed_us * GROSS:
            return ours_us
        self.phase.evidence.append(
            Evidence(
                rule="clock_mismatch",
                detail=f"{self._texts[case]}: the worker claims {claimed_us:.3g} us a call, the judge's "
                f"clock allows no less than {ours_us:.3g} us; the judge's figure counts",
            )
        )
        return ours_us

    def _unslowed(self, case: int, ratio: Ratio, reference: _Times) -> float:
        """The reference's time: interleaved, unless it ran faster before the candidate came."""
        before_us = statistics.median(self._before[case].claimed_us)
        # The quickest sample: passing load spares some, a candidate that works on slows them all.
        if min(reference.claimed_us) <= before_us * SLOWED:
            return ratio.reference_us
        self.phase.evidence.append(
            Evidence(
                rule="slowed_reference",
                detail=f"{self._texts[case]}: the reference took {before_us:.1f} us before the "
                f"candidate was loaded and {ratio.reference_us:.1f} us beside it; the earlier counts",
            )
        )
        return before_us

    def _draw(self, case: int) -> Call:
        return self._suite.draw(self._op, CaseKind.PERFORMANCE, case, self._rng.getrandbits(48))

    def _describe(self, case: int) -> tuple[Meta | None, ...]:
        attempt = correctness.Attempt(case, self._draw(case), "base")
        expectation = correctness.expectation_of(self._overload, attempt, self._profile)
        assert expectation is not None
        return correctness.output_metas(expectation)

    def _reference(self, twin: Keeper, case: int, call: Call) -> Sample:
        try:
            sample = self._bench.call(twin, ("timed", case), call, self._metas[case], timed=True)
        except Ended as error:
            raise JudgeError(f"the reference did not survive {self._texts[case]}: {error}") from error
        if sample.claims.error:
            raise JudgeError(f"the reference failed on {self._texts[case]}: {sample.claims.error}")
        return sample

    def _call(self, keeper: Keeper, case: int, call: Call) -> Sample:
        """One timed call of the candidate; raises `_Wrong` if it failed or claims no time."""
        sample = self._bench.call(keeper, ("timed", case), call, self._metas[case], timed=True)
        if sample.claims.error:
            raise _Wrong(CaseStatus.RAISED, f"the kernel raised {sample.claims.error}")
        if not LEAST_US < sample.claims.elapsed_us < float("inf"):
            raise _Wrong(CaseStatus.CHEATED, "the worker claims that the call took no time at all")
        return sample

    def _check(self, case: int, call: Call, sample: Sample, errors: _Errors) -> None:
        """The whole check of one timed call; raises `_Wrong`."""
        attempt = correctness.Attempt(case, call, "base")
        try:
            expectation = correctness.expectation_of(self._overload, attempt, self._profile)
        except oracle.Unjudgeable:
            return
        assert expectation is not None
        finding = checker.check(expectation, sample.observed)
        errors.note(finding)
        if not finding.passed:
            raise _Wrong(CaseStatus.WRONG, f"in a timed call: {finding.message}")


@dataclass(slots=True)
class _Errors:
    """Largest errors over the timed calls of a case."""

    max_abs_error: float | None = None
    max_rel_error: float | None = None

    def note(self, finding: checker.Finding) -> None:
        self.max_abs_error = correctness.larger(self.max_abs_error, finding.max_abs_error)
        self.max_rel_error = correctness.larger(self.max_rel_error, finding.max_rel_error)


def _spread(values: Sequence[float]) -> float:
    """How far above the median nine in ten of the values stay."""
    ordered = sorted(values)
    return ordered[int(0.9 * (len(ordered) - 1))] - statistics.median(ordered)
