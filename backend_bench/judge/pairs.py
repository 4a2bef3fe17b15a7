"""What is known of a case while it is timed: blocks for both sides, pairs that were run, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading import checker
from backend_bench.judge import correctness
from backend_bench.judge.bench import Ready, Timed
from backend_bench.judge.figures import Times
from backend_bench.judge.keeper import Ended, Keeper
from backend_bench.judge.stage import Meta
from backend_bench.verdict import CaseResult


@dataclass(slots=True)
class Both:
    """The same calls, planned for the twin and for the candidate."""

    ours: Ready
    theirs: Ready
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of the same calls."""

    calls: tuple[Call, ...]
    pause: int
    rewritten: bool
    ours: Timed
    theirs: Timed
    agrees: bool = False
    """Looked at already, and its values let go."""

    @property
    def has_time(self) -> bool:
        """Whether the times of both sides mean something."""
        return not self.rewritten and not self.theirs.is_late

    def twins(self) -> tuple[checker.Observed, ...]:
        """What the reference came to."""
        try:
            return self.ours.observed()
        except Ended as error:
            raise JudgeError(f"the reference did not survive: {error}") from error


@dataclass(slots=True)
class Errors:
    """Largest errors over the timed calls of a case."""

    max_abs_error: float | None = None
    max_rel_error: float | None = None

    def note(self, finding: checker.Finding) -> None:
        self.max_abs_error = correctness.larger(self.max_abs_error, finding.max_abs_error)
        self.max_rel_error = correctness.larger(self.max_rel_error, finding.max_rel_error)


@dataclass(slots=True)
class State:
    """How far the timing of one case is."""

    case: int
    reference: Times
    measured: Times
    waiting: int
    """Pairs of the warm-up that are still to come."""
    wanted: int = 0
    """Pairs of the next round."""
    worker: Keeper | None = None
    """Which has had its first call of this case."""
    metas: tuple[Meta | None, ...] = ()
    """Of its outputs, as it laid them out then."""
    blocks: list[tuple[Call, ...]] = field(default_factory=list)
    """Drawn, and not planned yet."""
    ready: list[Both] = field(default_factory=list)
    """Planned, and not run yet."""
    pairs: list[Pair] = field(default_factory=list)
    """Run, and not checked yet."""
    spent_s: float = 0.0
    is_heard: bool = False
    """In a worker that listens, after it was timed in one that does not."""
    is_doubted: bool = False
    """Its samples contradicted each other at the first look: it gets a second one, and that counts."""
    errors: Errors = field(default_factory=Errors)
    result: CaseResult | None = None

    @property
    def usable(self) -> int:
        """Pairs that give a time, those that were not checked yet among them."""
        return len(self.measured.claimed_us) + sum(pair.has_time for pair in self.pairs[self.waiting :])

    def end(self, result: CaseResult) -> None:
        """What came of it. Its values are let go: of the next case there will be as many."""
        self.result = result
        self.blocks.clear()
        self.ready.clear()
        self.pairs.clear()
