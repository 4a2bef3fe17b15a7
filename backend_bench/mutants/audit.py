"""The audit of one operator: every mutant against the draws that a submission would get, until each is caught, and
right kernels against all of them.

Draws, expectations and findings are the judge's own functions; only the wall between is left out, because these
kernels are ours. A mutant that no draw catches is looked at again: does it do what the operator does?
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from backend_bench.cases import Call
from backend_bench.fates import Fate, OperatorAudit, Outcome
from backend_bench.grading import checker, oracle
from backend_bench.grading.observing import observe
from backend_bench.grading.traits import Op
from backend_bench.judge import correctness
from backend_bench.mutants.answers import wrong_answers
from backend_bench.mutants.likeness import Likeness, is_identity, likeness
from backend_bench.mutants.mutant import DoesNotApply, Mutant
from backend_bench.mutants.probes import probes
from backend_bench.mutants.readings import wrong_readings
from backend_bench.mutants.witnesses import witnesses
from backend_bench.operator import Operator
from backend_bench.suites import Suite, resolve

_COMPARED = 24
"""Calls on which a mutant that passes without being exact is run in float64."""


@dataclass(slots=True)
class _Trial:
    """One mutant on its way."""

    mutant: Mutant
    killed: str = ""
    draws: int = 0
    applied: int = 0
    """Draws on which it was not the operator itself."""
    wanted: str = ""
    """What a draw would need for that."""
    likeness: Likeness = Likeness.SAME
    is_identity: bool = False
    """Whether in float64 its answers are the operator's."""
    probed: str = ""
    """The probe that caught it."""

    def meet(self, expectation: oracle.Expectation, call: Call) -> str:
        """The finding on one call, empty where it passes."""
        self.draws += 1
        try:
            observed = observe(self.mutant.kernel, call)
        except DoesNotApply as reason:
            self.wanted = str(reason)
            return ""
        except Exception as error:  # noqa: BLE001  (whatever a kernel raises is a failed case, as at the judge)
            return f"raised {type(error).__name__}: {error}"[:200]
        self.applied += 1
        finding = checker.check(expectation, observed)
        if finding.passed:
            self.likeness = max(self.likeness, likeness(expectation, observed))
        return finding.message

    def fate(self) -> Fate:
        outcome, why = self._outcome()
        return Fate(
            kind=self.mutant.kind, name=self.mutant.name, outcome=outcome, why=why[:300], draws=self.draws
        )

    def _outcome(self) -> tuple[Outcome, str]:
        if self.killed:
            return "killed", self.killed
        if self.probed:
            missing = "" if self.applied else f"no draw has {self.wanted}; "
            return "survived", f"{missing}caught beyond the suite by {self.probed}"
        if not self.applied:
            return "not applicable", f"it takes {self.wanted}"
        if self.likeness is Likeness.DIFFERENT and not self.is_identity:
            return "survived", "its answers differ by more than rounding, and pass"
        exact = self.likeness is Likeness.SAME
        return (
            "right",
            "the same values everywhere" if exact else "the same values everywhere but for rounding",
        )


def audit(suite: Suite, name: str, *, seed: int) -> OperatorAudit:
    """Run all mutants of one operator against its correctness cases, and what is right beside them."""
    started = time.monotonic()
    op = Operator.parse(name)
    entry = suite.entry(op)
    assert entry is not None
    count = len(entry.correctness)
    overload = resolve(op)
    attempts = correctness.draw_all(suite, op, overload, count, seed=seed, profile="strict")
    random.Random(seed).shuffle(attempts)
    trials: list[_Trial] = []
    judged: list[Call] = []
    # What catches one of these is our fault.
    right = [_Trial(each) for each in (Mutant("ATen", "ATen itself", overload), *witnesses(overload))]
    for attempt in attempts:
        expectation = _expectation(overload, attempt)
        if expectation is None:
            continue
        if not judged:
            trials = [_Trial(mutant) for mutant in _mutants(overload, attempt.call)]
        judged.append(attempt.call)
        _face([*trials, *right], expectation, attempt)
    _probe(overload, trials, judged, seed)
    return OperatorAudit(
        op=name,
        cases=count,
        draws=len(judged),
        fates=tuple(trial.fate() for trial in trials),
        note="" if judged else "none of its draws can be judged",
        fault="; ".join(f"{each.mutant.name} is refused: {each.killed}" for each in right if each.killed),
        wall_s=round(time.monotonic() - started, 3),
    )


def _mutants(overload: Op, first: Call) -> list[Mutant]:
    return [*wrong_answers(overload), *wrong_readings(overload, first)]


def _expectation(overload: Op, attempt: correctness.Attempt) -> oracle.Expectation | None:
    try:
        return correctness.expectation_of(overload, attempt, "strict")
    except oracle.Unjudgeable:
        return None


def _face(trials: Sequence[_Trial], expectation: oracle.Expectation, attempt: correctness.Attempt) -> None:
    for trial in trials:
        if not trial.killed and (finding := trial.meet(expectation, attempt.call)):
            trial.killed = f"draw {attempt.purpose} of case {attempt.case}: {finding}"


def _probe(overload: Op, trials: Sequence[_Trial], judged: Sequence[Call], seed: int) -> None:
    """Look at those that were never caught, where the suite did not."""
    left = [trial for trial in trials if not trial.killed]
    if not left:
        return
    drawn = [(trial.draws, trial.applied) for trial in left]
    for trial in left:
        if trial.likeness is Likeness.DIFFERENT:
            trial.is_identity = is_identity(overload, trial.mutant.kernel, judged[:_COMPARED])
    for what, call in probes(overload, judged, random.Random(seed)):
        try:
            expectation = oracle.expect(overload, call)
        except oracle.Unjudgeable:
            continue
        if not oracle.admissible(expectation):
            continue
        for trial in left:
            if not trial.probed and (finding := trial.meet(expectation, call)):
                trial.probed = f"{what}: {finding}"
    for trial, (draws, applied) in zip(left, drawn, strict=True):
        trial.draws, trial.applied = draws, applied  # of the suite's draws alone
