"""A tool by which an agent has drafts of its kernel judged while it works: a server for each rollout, with a budget.

What a draft earns is told and recorded; it counts for nothing. Only what the agent ends with is scored.
"""

from __future__ import annotations

import hashlib
from typing import Any

import verifiers.v1 as vf
from pydantic import BaseModel, Field

from backend_bench.dialogue import feedback, reply
from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.environment.data import BackendBenchData
from backend_bench.errors import BackendBenchError
from backend_bench.submission import Sandbox
from backend_bench.verdict import Status


class Draft(BaseModel):
    """One draft that was judged."""

    source_sha256: str
    """Hash of the kernel's text."""
    status: str
    """The verdict's."""
    reward: float | None
    """What it would have earned."""
    wall_s: float
    """Seconds that it took the judge."""


class GraderState(vf.State):
    """What the tool's server tells the host."""

    drafts: list[Draft] = Field(default_factory=list)
    """Drafts in the order in which they were judged."""


class GraderConfig(vf.ToolsetConfig):
    calls: int = 0
    """Drafts that may be judged in one rollout."""
    place: str = "local"
    """Where they are judged."""
    sandbox: Sandbox = "best-effort"
    """What to do where the host cannot give the whole sandbox."""
    timing_s: float | None = None
    """Seconds that the timing of a noisy case may take; None: as the judge likes."""
    feedback_budget: int = feedback.BUDGET
    """Characters of one answer, at most."""


class GraderToolset(vf.Toolset[GraderConfig, GraderState]):
    """Serves `kernel_grade`."""

    TOOL_PREFIX = "kernel"

    def __init__(self, config: GraderConfig) -> None:
        super().__init__(config)
        self._used = 0
        self._data: BackendBenchData | None = None

    async def setup_task(self, task: Any) -> None:
        self._data = BackendBenchData.model_validate(task.model_dump())

    @vf.tool
    async def grade(self, code: str) -> str:
        """Judge a draft of the kernel. `code` is the text of the whole file. Says what fails, and how fast it is; a
        draft earns nothing, and the number of calls is limited."""
        assert self._data is not None, "the host sets the task before it calls"
        if self._used >= self.config.calls:
            return f"No calls are left: all {self.config.calls} are used."
        if len(code) > reply.CODE_LIMIT:
            return f"The draft is longer than {reply.CODE_LIMIT:,} characters; it was not run, and no call was used."
        self._used += 1  # before anything is awaited: calls may come at once
        try:
            verdict = await self._data.judge(
                code, place=self.config.place, sandbox=self.config.sandbox, timing_s=self.config.timing_s
            )
        except BackendBenchError as error:
            self._used -= 1
            return f"The judge failed, which is not your fault and used no call: {error}"
        if verdict.status is Status.ERROR:
            self._used -= 1
            return f"The judge failed, which is not your fault and used no call: {verdict.message}"
        digest = hashlib.sha256(code.encode()).hexdigest()
        draft = Draft(
            source_sha256=digest, status=verdict.status, reward=verdict.reward, wall_s=verdict.wall_s
        )
        self.state.drafts = [*self.state.drafts, draft]
        left = self.config.calls - self._used
        note = f"{left} of {self.config.calls} calls left."
        return feedback.feedback(
            FeedbackInfo.of(verdict, code), note=note, shell=True, budget=self.config.feedback_budget
        )


if __name__ == "__main__":
    GraderToolset.run()
