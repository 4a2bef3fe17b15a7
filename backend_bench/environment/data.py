"""One operator as the host carries it: which tests it has to pass, and how a kernel for it is sent to judgement."""

from __future__ import annotations

import verifiers.v1 as vf

from backend_bench.executors import choose
from backend_bench.operator import Operator
from backend_bench.submission import (
    Device,
    Kind,
    Language,
    Limits,
    Only,
    PerfCases,
    Profile,
    Sandbox,
    Submission,
    SuiteName,
    SuiteSpec,
)
from backend_bench.verdict import Verdict


class BackendBenchData(vf.TaskData):
    """One operator, and which tests it has to pass."""

    op: str
    """The operator, `add.Tensor`."""
    language: Language
    """Language that the kernel must be written in."""
    suite: SuiteName
    """The suite."""
    device: Device
    """Where tensors live."""
    dtype: str | None = None
    """Floating dtype that the suite draws in; None is its default."""
    source: str | None = None
    """Where the suite takes its data from; None is its default."""
    cases_per_op: int | None = None
    """Correctness cases, at most; None is the suite's default."""
    topn: int | None = None
    """Only so many of the recorded calls, the largest that fit."""
    overhead_dominated: bool = False
    """Whether calls are timed whose time is mostly that of a launch."""
    error_inputs: bool = False
    """Whether arguments that the operator refuses are cases too."""
    perf_cases: PerfCases = "suite"
    """Where performance cases come from."""
    calls: int = 0
    """How often the models behind the suite call the operator, as a weight; 0 where nothing was recorded."""
    profile: Profile = "strict"
    """Rules of comparison and scoring."""
    shell: bool = False
    """Whether the model has a shell and writes its kernel to a file."""

    @property
    def operator(self) -> Operator:
        return Operator.parse(self.op)

    @property
    def spec(self) -> SuiteSpec:
        """Which tests, for a judge."""
        return SuiteSpec(
            name=self.suite,
            device=self.device,
            dtype=self.dtype,
            source=self.source,
            cases_per_op=self.cases_per_op,
            topn=self.topn,
            overhead_dominated=self.overhead_dominated,
            error_inputs=self.error_inputs,
            perf_cases=self.perf_cases,
        )

    @property
    def key(self) -> str:
        """Durable identity: the same task in every run."""
        return f"backend-bench:{self.suite}:{self.op}:{self.language}"

    async def judge(
        self, code: str, *, place: str, sandbox: Sandbox, timing_s: float | None = None, kind: Kind = "candidate",
        only: Only | None = None,
    ) -> Verdict:  # fmt: skip
        """Send one kernel to a place, and wait."""
        submission = Submission(
            op=self.operator,
            source=code,
            language=self.language if kind == "candidate" else "auto",
            suite=self.spec,
            profile=self.profile,
            only=only,
            sandbox=sandbox,
            limits=Limits(timing_s=timing_s),
            kind=kind,
        )
        return await choose.choose(place).submit(submission)
