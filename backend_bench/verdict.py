"""What comes back: the verdict on one submission, with every case and all evidence.

Plain data. Scores are computed in `grading`; here they are only carried.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from backend_bench.operator import Operator
from backend_bench.submission import Kind, Only, Profile


class Status(enum.StrEnum):
    """The outcome of a submission. Only `error` is our own fault."""

    OK = "ok"
    WRONG = "wrong"
    COMPILE_ERROR = "compile_error"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    CHEATED = "cheated"
    NO_CASES = "no_cases"
    ERROR = "error"


class CaseStatus(enum.StrEnum):
    """The outcome of one case."""

    PASSED = "passed"
    WRONG = "wrong"
    RAISED = "raised"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    CHEATED = "cheated"
    NOT_RUN = "not_run"


class CaseKind(enum.StrEnum):
    """What a case is for."""

    CORRECTNESS = "correctness"
    PERFORMANCE = "performance"
    ERROR_INPUT = "error_input"
    """Arguments that the operator refuses: the kernel must raise. Counts among the correctness cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A sign of cheating, for a person to read."""

    rule: str
    """Short name of the rule, such as `precomputed`."""
    detail: str
    """What was seen, and where."""
    claimed: bool = False
    """True where it was seen inside the worker, and so could be forged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What came and what should have come around the worst element of one wrong result."""

    result: str
    """Which tensor: `output 0`, or `input 1 after the call`."""
    place: tuple[int, ...]
    """Index of its worst element."""
    shape: tuple[int, ...]
    """Its shape."""
    wrong: int
    """How many of its elements are wrong."""
    total: int
    """Of how many."""
    first: int
    """Index along the last dimension of the first value that is shown."""
    expected: tuple[str, ...]
    """A few values of PyTorch's, along the last dimension."""
    got: tuple[str, ...]
    """The values that came, at the same places."""
    excess: float | None = None
    """The worst element's error over what is allowed there; None where it must be exact or is not finite."""
    inputs: tuple[str, ...] = ()
    """The inputs in words: small ones whole, others around the same place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case of the suite, judged over all its draws."""

    args: str
    """The arguments as text, shapes and dtypes only."""
    kind: CaseKind
    """Correctness, performance, or an error input."""
    status: CaseStatus
    """The worst of its draws."""
    message: str = ""
    """What was wrong, to what, in one or two sentences; empty when passed."""
    max_abs_error: float | None = None
    """Largest absolute error over all draws; infinite (null in JSON) where NaN or an infinity is in the wrong place,
    None where nothing was compared."""
    max_rel_error: float | None = None
    """Largest relative error over all draws, likewise."""
    reference_us: float | None = None
    """Median time of ATen, in microseconds."""
    candidate_us: float | None = None
    """Median time of the candidate, in microseconds."""
    speedup: float | None = None
    """reference_us / candidate_us."""
    noise: float | None = None
    """Half-width of the ratio's noise band, relative (0.02 is two per cent)."""
    floor_us: float | None = None
    """Time that no implementation goes below on this device, in microseconds; None where none is known."""
    example: Example | None = None
    """Values of the draw that the message is about; None where no values were compared."""

    @property
    def passed(self) -> bool:
        return self.status is CaseStatus.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many of how many."""

    passed: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to one submission."""

    op: str
    """The operator, `add.Tensor`."""
    language: str
    """The language in which the kernel was judged."""
    status: Status
    """The outcome."""
    message: str = ""
    """One sentence on the outcome; a compiler's text for `compile_error`."""
    correctness_score: float | None = None
    """Passed cases / all cases; None for `no_cases` and `error`."""
    performance_score: float | None = None
    """Geometric mean of the speed-ups by the profile's rule; None if not measured."""
    reward: float | None = None
    """correctness_score * performance_score."""
    correctness: Tally = Tally(passed=0, total=0)
    """Correctness cases, error inputs among them."""
    performance: Tally = Tally(passed=0, total=0)
    """Performance cases."""
    cases: tuple[CaseResult, ...] = ()
    """Every case."""
    evidence: tuple[Evidence, ...] = ()
    """Signs of cheating."""
    kernels: Mapping[str, int] = field(default_factory=dict)
    """Kernels of its own that the worker says it launched on the GPU for the correctness cases, and how often."""
    wall_s: float = 0.0
    """Wall time from the judge's first step to the verdict, in seconds."""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Where the wall time went, in seconds; `queue` came before it. The stages are told in `judge/stages.py`."""
    notes: tuple[str, ...] = ()
    """What a reader must know, such as `interpreted: performance not measured`."""
    place: str = ""
    """Where it was judged and what that took, where that is not this host: for people, not for a model."""
    sandbox: tuple[str, ...] = ()
    """What the worker's sandbox covered."""
    profile: Profile = "strict"
    """Rules by which it was judged."""
    only: Only | None = None
    """The kind of cases that it was restricted to."""
    kind: Kind = "candidate"
    """Whether candidate code was judged."""
    source_sha256: str = ""
    """Hash of the kernel's text."""
    seed: int | None = None
    """The seed, where the submission had fixed it; a secret one is not told."""

    @property
    def operator(self) -> Operator:
        return Operator.parse(self.op)
