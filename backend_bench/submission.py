"""What goes out: one kernel for one operator, and how it is to be judged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from backend_bench.errors import UsageError
from backend_bench.operator import Operator

Device = Literal["cpu", "cuda"]
Kind = Literal["candidate", "reference"]
"""`reference` is ATen judged against itself; it carries no source and only `selfcheck` makes it."""
Language = Literal["triton", "cuda", "helion", "cutedsl", "pytorch"]
PerfCases = Literal["suite", "traces"]
Only = Literal["correctness", "performance"]
Profile = Literal["strict", "backendbench"]
Sandbox = Literal["required", "best-effort", "off"]
SuiteName = Literal["smoke", "opinfo", "torchbench", "facto"]

LONGEST_S = 86_400.0
"""A day: more than any kernel may have."""
LONGEST_TIMING_S = 30.0
"""Nobody else has the device meanwhile."""
MOST_BYTES = 1 << 46
"""More than any host has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSpec:
    """Which tests: everything that decides the list of cases."""

    name: SuiteName = "smoke"
    """The suite."""
    device: Device = "cpu"
    """Where tensors live."""
    dtype: str | None = None
    """Floating dtype that the suite draws in, such as `bfloat16`; None is the suite's own default."""
    source: str | None = None
    """Where the suite takes its data from; None is the suite's own default."""
    cases_per_op: int | None = None
    """Correctness cases of an operator, at most, and a third as many performance cases; None is 12 and 4."""
    topn: int | None = None
    """Only so many of an operator's recorded calls, the largest that fit the device; None is all."""
    overhead_dominated: bool = False
    """Whether calls are timed whose time is mostly that of a launch."""
    error_inputs: bool = False
    """Whether arguments that an operator refuses are cases too, where the suite has any."""
    perf_cases: PerfCases = "suite"
    """Where performance cases come from: the suite itself, or the recorded calls that come with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of anything one submission may use."""

    load_s: float = 60.0
    """Wall time for importing the kernel file, in seconds."""
    call_s: float = 10.0
    """Wall time for one call once the operator has been called before, in seconds."""
    first_call_s: float = 60.0
    """Wall time for the first call of a case, and of each other form of it, compilation included, in seconds."""
    total_s: float = 300.0
    """Wall time for all of it, in seconds; and again for the calls in which it is heard which kernels run."""
    timing_s: float | None = None
    """What the timing of one performance case may take while its ratio is noisy, in seconds with the device to itself; None is
    0.05 on a GPU and 0.6 on a CPU."""
    memory_bytes: int = 8 << 30
    """Host memory that a worker may map beyond what it started with."""

    def __post_init__(self) -> None:
        """Raises `UsageError`: a limit that makes no sense must not be a kernel's fault."""
        for name in ("load_s", "call_s", "first_call_s", "total_s"):
            if not 0 < getattr(self, name) <= LONGEST_S:
                raise UsageError(
                    f"limits.{name} is {getattr(self, name):g}; it has to be more than 0 and at most {LONGEST_S:g}"
                )
        if self.timing_s is not None and not 0 < self.timing_s <= LONGEST_TIMING_S:
            raise UsageError(
                f"limits.timing_s is {self.timing_s:g}; it has to be more than 0 and at most {LONGEST_TIMING_S:g}"
            )
        if not 1 << 20 <= self.memory_bytes <= MOST_BYTES:
            raise UsageError(
                f"limits.memory_bytes is {self.memory_bytes}; it has to be between {1 << 20} and {MOST_BYTES}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One kernel and the rules by which it is judged."""

    op: Operator
    """The operator that the kernel claims to be."""
    source: str = ""
    """The kernel file's text; empty for kind `reference`."""
    language: Language | Literal["auto"] = "auto"
    """Language that the kernel must be written in; `auto` reads it from the source."""
    suite: SuiteSpec = SuiteSpec()
    """The tests."""
    profile: Profile = "strict"
    """Rules of comparison and scoring."""
    only: Only | None = None
    """Restrict to one kind of cases."""
    sandbox: Sandbox = "best-effort"
    """What to do where the machine cannot give the whole sandbox."""
    seed: int | None = None
    """Fixes the draws, for reproducing a verdict; None draws a secret one."""
    limits: Limits = Limits()
    """Resource limits."""
    kind: Kind = "candidate"
    """Whether candidate code is judged, or ATen against itself."""

    @property
    def source_sha256(self) -> str:
        """By which a verdict says what it is about."""
        return hashlib.sha256(self.source.encode()).hexdigest()
