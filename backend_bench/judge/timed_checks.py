"""Whether timed calls came to the right results: beside the twin's, and where that does not settle it, beside the oracle's."""

from __future__ import annotations

from collections.abc import Sequence

from backend_bench.cases import Call
from backend_bench.grading import checker, oracle
from backend_bench.grading.alike import alike, same_output
from backend_bench.grading.traits import Op
from backend_bench.judge import correctness
from backend_bench.judge.blocks import decoy_of
from backend_bench.judge.pairs import Errors, Pair
from backend_bench.submission import Profile
from backend_bench.verdict import CaseStatus, Evidence


class Wrong(Exception):
    """A timed call failed; carries the case's status and message."""

    def __init__(self, status: CaseStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Checks:
    """Checks of one operator's timed calls; what shows an intention is added to the evidence."""

    def __init__(
        self, overload: Op, texts: Sequence[str], profile: Profile, evidence: list[Evidence]
    ) -> None:
        self._overload, self._texts, self._evidence = overload, texts, evidence
        self._profile: Profile = profile

    def pair(self, case: int, pair: Pair, errors: Errors) -> None:
        """Every call of the candidate; raises `Wrong`."""
        if pair.agrees or pair.theirs.is_alike(pair.ours):
            return
        twins = pair.twins()
        sides = zip(pair.calls, pair.theirs.observed(), twins, strict=True)
        for number, (call, theirs, ours) in enumerate(sides):
            if alike(theirs, ours):
                continue
            try:
                self.call(case, call, theirs, errors)
            except Wrong:
                if pair.rewritten and number >= pair.pause:
                    self._accuse(case, theirs, twins[decoy_of(number - pair.pause, pair.pause)])
                raise

    def call(self, case: int, call: Call, observed: checker.Observed, errors: Errors) -> None:
        """The whole check of one call; raises `Wrong`."""
        attempt = correctness.Attempt(case, call, "base")
        try:
            expectation = correctness.expectation_of(self._overload, attempt, self._profile)
        except oracle.Unjudgeable:
            return
        assert expectation is not None
        finding = checker.check(expectation, observed)
        errors.note(finding)
        if not finding.passed:
            raise Wrong(CaseStatus.WRONG, f"in a timed call: {finding.message}")

    def _accuse(self, case: int, theirs: checker.Observed, shown: checker.Observed) -> None:
        """A wrong output that is right for the inputs that lay there before the call was made: raises `Wrong`."""
        if len(theirs.outputs) != len(shown.outputs) or not all(
            same_output(one, other) for one, other in zip(theirs.outputs, shown.outputs, strict=True)
        ):
            return
        detail = f"{self._texts[case]}: the output is that of inputs which lay there before the call was made"
        self._evidence.append(Evidence(rule="precomputed", detail=detail))
        raise Wrong(CaseStatus.CHEATED, "in a timed call: computed before it was called")
