"""The exchange: the model submits a kernel, the verdict comes back as feedback, until the turns are up.

    feedback_loop      after each turn but the last                         ends early
    until_max_turns    the verdict's feedback                               never
    until_correct      the verdict's feedback                               when a verdict is `ok`
    none               a plain request for another attempt, no feedback     never

A turn without code costs a turn, in all of them, and the model is told that no code was found. A harness that gives the
model a shell (`bash` and others of the host) makes a turn as long as the model works: it ends when the model says so, and
the kernel file in its box is judged.
Nothing of a rollout is kept on the environment: 64 at once cannot mix.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal, get_args

import verifiers.v1 as vf
from pydantic import Field, field_validator

from backend_bench.environment.taskset import BackendBenchTask, BackendBenchTaskset, known
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.executors import choose
from backend_bench.records import Run

logger = logging.getLogger(f"verifiers.v1.{__name__}")  # the host shows no other loggers

FeedbackLoop = Literal["until_max_turns", "until_correct", "none"]

ANOTHER = "Make another attempt. Send the whole file in one ```python block."
"""What is said between turns where no feedback is given."""
ANOTHER_FILE = "Make another attempt, in the same file."
"""The same, to a model that has a shell."""


class BackendBenchEnvConfig(vf.SingleAgentEnvConfig):
    # The host's default runtime is a rented sandbox; a chat needs none.
    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    """The model under evaluation or training."""
    num_turns: int = Field(1, ge=1)
    """Kernels that the model may submit in one rollout."""
    feedback_loop: FeedbackLoop = "until_max_turns"
    """Feedback between turns: until_max_turns, until_correct (stop at a right kernel), none."""

    @field_validator("feedback_loop", mode="before")
    @classmethod
    def _known_loop(cls, value: Any) -> Any:
        return known(value, get_args(FeedbackLoop), "feedback_loop")


class BackendBenchEnv(vf.SingleAgentEnv, vf.Env[BackendBenchEnvConfig]):
    """One model, one operator, a few turns."""

    _facts: asyncio.Task[None] | None = None
    """Asks for the machine's facts beside the first rollouts; no state of a rollout."""

    async def start(self) -> None:
        """Write the run's arguments down before the first rollout, and the machine as soon as it tells."""
        taskset = self.config.taskset
        if isinstance(self.taskset, BackendBenchTaskset):
            arguments = {
                **taskset.model_dump(mode="json"),
                "num_turns": self.config.num_turns,
                "feedback_loop": self.config.feedback_loop,
            }
            run = Run(taskset.task.kernels_dir / taskset.task.run)
            run.describe(arguments)
            self._facts = asyncio.create_task(_note_machine(run, taskset.task.place))

    async def stop(self) -> None:
        """Let go of the place that judges."""
        if self._facts is not None:
            self._facts.cancel()  # nobody waits for them where a run ends before they came
            await asyncio.gather(self._facts, return_exceptions=True)
        await choose.release()

    async def run(self, task: vf.Task[Any, Any, Any], agents: vf.Agents[Any]) -> None:
        """Play one rollout. A judge that fails raises, and the rollout is an error, not a zero."""
        if not isinstance(task, BackendBenchTask):
            raise UsageError(f"--env.id backend-bench plays its own tasks, not a {type(task).__name__}")
        agent = agents.agent
        if agent.harness.EXECUTES_CODE:
            task = task.for_shell()
        # The box outlives the turns: what a model with a shell has written is read between them.
        async with agent.provision(task) as box, agent.interaction(task, runtime=box) as chat:
            segment = await chat.turn()
            for turn in range(1, self.config.num_turns + 1):
                if segment.terminated:
                    return
                found = await task.submission(segment.last_reply, box)
                result = await task.attempt(chat.trace, found)
                if turn == self.config.num_turns or self._done(result):
                    await task.conclude(chat.trace)
                    return
                segment = await chat.turn(self._answer(result, task.data.shell))

    def _done(self, turn: dict[str, Any]) -> bool:
        verdict = turn["verdict"] or {}
        return self.config.feedback_loop == "until_correct" and verdict.get("status") == "ok"

    def _answer(self, turn: dict[str, Any], shell: bool) -> str:
        """What the model reads next."""
        if self.config.feedback_loop == "none" and turn["verdict"] is not None:
            return ANOTHER_FILE if shell else ANOTHER
        return str(turn["feedback"])


async def _note_machine(run: Run, place: str) -> None:
    """Put the facts of the machine that judges into run.json."""
    try:
        facts = await choose.choose(place).machine()
    except BackendBenchError as error:  # the rollouts meet the same judge, and fail with it
        logger.warning("run.json will lack the machine's facts: %s", error)
        return
    await asyncio.to_thread(run.add_machine, facts)
