"""The shipped fake: an executor that answers from a table or a callable, for tests and first steps.

It judges nothing and starts nothing; what it answers is what it was told to answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from backend_bench.cases import SuiteIndex
from backend_bench.errors import ServiceError, UsageError
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Verdict

Answer = Verdict | Exception
"""What comes back for a submission; an exception is raised."""
Script = Callable[[Submission], Answer | Awaitable[Answer]] | Mapping[str, Answer]
"""A function of the submission (it may be async), or answers by operator name."""


class ScriptedExecutor:
    """Answers every submission from its script, and remembers what it was sent."""

    def __init__(self, script: Script, index: SuiteIndex | None = None) -> None:
        self._script = script
        self._index = index
        self.submissions: list[Submission] = []
        self.closed = False

    async def submit(self, submission: Submission) -> Verdict:
        """The script's answer; an exception in it is raised, as a real executor would."""
        self.submissions.append(submission)
        answer = self._answer(submission)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The index it was given, whatever device is asked for; `UsageError` for another suite."""
        return self.read_index(spec)

    def read_index(self, spec: SuiteSpec) -> SuiteIndex:
        """`index` without an event loop, as `executors.local.read_index` offers it."""
        if self._index is None or spec.name != self._index.spec.name:
            raise UsageError(f"the scripted executor has no suite {spec.name!r}")
        return replace(self._index, spec=spec)

    async def machine(self) -> Mapping[str, Any]:
        return {"executor": "scripted"}

    async def aclose(self) -> None:
        self.closed = True

    def _answer(self, submission: Submission) -> Answer | Awaitable[Answer]:
        if not isinstance(self._script, Mapping):
            return self._script(submission)
        answer = self._script.get(str(submission.op))
        return answer or ServiceError(f"the script has no answer for {submission.op}")
