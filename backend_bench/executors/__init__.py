"""Where judging happens. An executor carries a submission out and a verdict back; it never judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from backend_bench.cases import SuiteIndex
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Verdict


class Executor(Protocol):
    """A place that judges."""

    async def submit(self, submission: Submission) -> Verdict:
        """Wait for the verdict.

        Raises `ServiceError` when the place cannot be reached, and `NotJudged` where it failed on this submission; a bad kernel never raises.
        Cancelling the await frees the place in the queue.
        """
        ...

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The operators and cases of a suite there.

        Raises `UsageError` for a suite or dtype that does not exist there.
        """
        ...

    async def machine(self) -> Mapping[str, Any]:
        """Facts about the place: device, versions, sandbox; plain JSON."""
        ...

    async def aclose(self) -> None:
        """Let go of the place."""
        ...
