"""The tasks: one operator of a suite each; a task knows how a reply is judged and what it earns.

All state of a rollout is on its trace. Judging happens at the executor; nothing here imports torch.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import verifiers.v1 as vf
from pydantic import Field, field_validator

from backend_bench import languages, records
from backend_bench.cases import Entry, SuiteIndex
from backend_bench.dialogue import feedback, prompt, reply
from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.environment import scores
from backend_bench.environment.data import BackendBenchData
from backend_bench.environment.grader import GraderConfig, GraderState, GraderToolset
from backend_bench.errors import JudgeError, UsageError
from backend_bench.executors import choose
from backend_bench.operator import Operator
from backend_bench.submission import (
    LONGEST_TIMING_S,
    Device,
    Language,
    PerfCases,
    Profile,
    Sandbox,
    SuiteName,
    SuiteSpec,
)
from backend_bench.verdict import Status, Tally, Verdict

logger = logging.getLogger(f"verifiers.v1.{__name__}")  # the host shows no other loggers

AT_JUDGE = "at_judge"
"""Where a trace's info says, while a kernel is judged, since when it has been at the judge."""


class BackendBenchTaskConfig(vf.TaskConfig):
    gpu: str = "local"
    """Where kernels are judged: local (this host's GPUs, or its CPU if it has none), cpu, a GPU to rent such as H100, a
    service's URL, ray://…"""
    correctness_on: str | None = None
    """Where correctness is judged, if not at gpu: a cheap place, such as cpu."""
    performance_on: str | None = None
    """Where performance is judged, if not at gpu: the card that counts."""
    kernels_dir: Path = records.KERNELS_DIR
    """Folder that holds the kernels and verdicts of each run."""
    sandbox: Sandbox = "best-effort"
    """What to do where the host cannot give the whole sandbox: required, best-effort, off."""
    timing_s: float | None = Field(None, gt=0, le=LONGEST_TIMING_S)
    """Seconds with the device to itself that the timing of a noisy case may take; 0.05 on a GPU and 0.6 on a CPU if unset."""
    grader_calls: int = Field(0, ge=0)
    """Drafts that an agent with a shell may have judged by the tool `kernel_grade`; 0 offers no tool."""
    feedback_budget: int = Field(feedback.BUDGET, ge=1)
    """Characters of one feedback, at most."""
    run: str = Field(default_factory=records.new_run_name, pattern=r"^[\w.-]+$")
    """Name of the run's folder below kernels_dir; a timestamp and a few random digits if unset."""

    @field_validator("gpu", "correctness_on", "performance_on")
    @classmethod
    def _known_place(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                choose.check(value)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def place(self) -> str:
        """Where kernels are judged, both halves."""
        return choose.place(self.gpu, self.correctness_on, self.performance_on)

    @field_validator("sandbox", mode="before")
    @classmethod
    def _known_sandbox(cls, value: Any) -> Any:
        return known(value, get_args(Sandbox), "sandbox")


class BackendBenchTask(vf.Task[BackendBenchData, GraderState, BackendBenchTaskConfig]):
    """One operator: judges replies, and reads its reward off the turns on the trace."""

    @classmethod
    def toolsets(cls, config: BackendBenchTaskConfig) -> list[vf.Toolset[Any, Any]]:
        """The grading tool, where calls of it are allowed."""
        if not config.grader_calls:
            return []
        return [
            GraderToolset(
                GraderConfig(
                    calls=config.grader_calls,
                    place=config.place,
                    sandbox=config.sandbox,
                    timing_s=config.timing_s,
                    feedback_budget=config.feedback_budget,
                )
            )
        ]

    @property
    def key(self) -> str:
        return self.data.key

    @property
    def folder(self) -> records.Run:
        """The run's folder."""
        return records.Run(self.config.kernels_dir / self.config.run)

    def for_shell(self) -> Self:
        """The same task for a model that has a shell."""
        text = prompt.for_shell(str(self.data.prompt), drafts=self.config.grader_calls)
        return self.with_data(shell=True, prompt=text)

    async def submission(self, text: str, box: vf.Runtime) -> reply.Reply:
        """What is handed in: the file in a box that the model had a shell in, or the code in its reply."""
        found = await asyncio.to_thread(
            reply.read_reply, text, self.data.operator.function
        )  # slow, if it is hostile
        if found.code is not None and not self.data.shell:
            return found
        written = await _in_box(box)
        if written is not None:
            return reply.Reply(written, "")
        if found.code is None and self.data.shell:
            return reply.Reply(None, f"There is no `{prompt.KERNEL_FILE}` in your working directory.")
        return found

    async def attempt(self, trace: vf.Trace[Any, Any, Any], found: reply.Reply) -> dict[str, Any]:
        """Judge what was handed in; put the turn on the trace and on disk, and return it.

        Raises `JudgeError` or `ServiceError` when the judge failed: the rollout fails with it,
        may be tried again by the host (`--env.retries`), and is never scored.
        """
        turns = trace.info.setdefault("turns", [])
        op = self.data.operator
        trace.info[AT_JUDGE] = time.time()
        try:
            verdict = None if found.code is None else await self.judge(found.code)
        finally:
            del trace.info[AT_JUDGE]
        faulty = verdict is not None and verdict.status in (Status.ERROR, Status.NO_CASES)
        turn = {
            "turn": len(turns) + 1,
            "code": found.code,
            "verdict": None if verdict is None else records.verdict_json(verdict),
            "feedback": self._tell(verdict, found, turns),
            "reward": None if faulty else scores.turn_reward(verdict),
        }
        await asyncio.to_thread(self._keep, trace, op, verdict, turn)
        if verdict is not None and faulty:
            raise JudgeError(f"no verdict on {op}, turn {turn['turn']}: {verdict.message or verdict.status}")
        turns.append(turn)
        return turn

    async def judge(self, code: str) -> Verdict:
        """Send one kernel to its place, and wait."""
        return await self.data.judge(
            code, place=self.config.place, sandbox=self.config.sandbox, timing_s=self.config.timing_s
        )

    async def validate(self, runtime: vf.Runtime) -> bool:
        """Whether PyTorch's own operator, judged as a kernel is, passes every correctness case."""
        verdict = await self.data.judge(
            "", place=self.config.place, sandbox=self.config.sandbox, kind="reference", only="correctness"
        )
        if verdict.status in (Status.ERROR, Status.NO_CASES):
            raise JudgeError(f"no verdict on {self.data.op}: {verdict.message or verdict.status}")
        return verdict.status is Status.OK

    async def finalize(self, trace: vf.Trace[Any, Any, Any], runtime: vf.Runtime) -> None:
        """Judge what no loop has: the last reply (`--env.id single-agent`, `best-of-n`), and a file that was still
        changed when a limit ended the last turn."""
        trace.info.setdefault("kernels", str(self.folder.path / trace.id))
        trace.info["drafts"] = [draft.model_dump(mode="json") for draft in trace.state.drafts]
        turns = trace.info.get("turns") or []
        if not trace.num_turns or (turns and not self.data.shell):
            return
        found = await self.submission(trace.last_reply, runtime)
        if not turns or (found.code is not None and found.code != turns[-1]["code"]):
            await self.attempt(trace, found)
            await self.conclude(trace)

    async def conclude(self, trace: vf.Trace[Any, Any, Any]) -> None:
        """Record that the rollout was played to its end."""
        turns = trace.info.get("turns", [])
        usage = trace.usage
        ending = records.Ending(
            op=self.data.operator,
            rollout=trace.id,
            turns=len(turns),
            reward=scores.metrics(turns)["best_reward"],
            model=_model(trace),
            prompt_tokens=None if usage is None else usage.input_tokens,
            completion_tokens=None if usage is None else usage.completion_tokens,
        )
        await asyncio.to_thread(self.folder.end, ending)

    @vf.reward
    async def reward(self, trace: vf.Trace[Any, Any, Any]) -> float:
        """The best turn's reward."""
        return scores.metrics(trace.info.get("turns", []))["best_reward"]

    @vf.metric
    async def metrics(self, trace: vf.Trace[Any, Any, Any]) -> dict[str, float]:
        """Everything else that is worth a number; see `scores.metrics`."""
        return {
            **scores.metrics(trace.info.get("turns", [])),
            "drafts": float(len(trace.info.get("drafts", []))),
        }

    def _tell(self, verdict: Verdict | None, found: reply.Reply, turns: list[dict[str, Any]]) -> str:
        """The feedback on a turn, given the earlier ones."""
        budget = self.config.feedback_budget
        if verdict is None:
            return feedback.no_code(found.note, budget=budget)
        info = FeedbackInfo.of(verdict, found.code or "")
        return feedback.feedback(
            info, best=_best(turns), note=found.note, shell=self.data.shell, budget=budget
        )

    def _keep(
        self, trace: vf.Trace[Any, Any, Any], op: Operator, verdict: Verdict | None, turn: dict[str, Any]
    ) -> None:
        run = self.folder
        run.describe({"task": self.config.model_dump(mode="json"), "first": self.data.key})
        run.write(
            records.Turn(
                op=op,
                rollout=trace.id,
                turn=turn["turn"],
                code=turn["code"],
                verdict=verdict,
                reward=turn["reward"],
                feedback=turn["feedback"],
                model=_model(trace),
            )
        )


def _model(trace: vf.Trace[Any, Any, Any]) -> str:
    """The model that was asked last."""
    return (trace.calls[-1].model or "") if trace.calls else ""


async def _in_box(box: vf.Runtime) -> str | None:
    """The text of the kernel file in the box; None where there is none that can be read."""
    try:
        data = await box.read(prompt.KERNEL_FILE, max_bytes=4 * reply.CODE_LIMIT)
    except (OSError, vf.SandboxError):
        return None
    text = data.decode(errors="replace")
    return text if text.strip() and len(text) <= reply.CODE_LIMIT else None


def _best(turns: list[dict[str, Any]]) -> feedback.Best | None:
    """The best of the turns so far, in the terms of feedback."""
    best = scores.best_turn(turns)
    if best is None:
        return None
    verdict = best["verdict"] or {}
    tallies = {
        kind: Tally(**verdict[kind])
        for kind in ("correctness", "performance")
        if verdict.get(kind) is not None
    }
    return feedback.Best(
        best["turn"], best["reward"], **tallies, performance_score=verdict.get("performance_score")
    )


class BackendBenchConfig(vf.TasksetConfig):
    suite: SuiteName = "torchbench"
    """The suite of tests: smoke, opinfo, torchbench, facto."""
    ops: list[str] = Field(default_factory=list)
    """Only these operators (a list, or names with commas between); empty means all."""
    language: Language = "triton"
    """Language of the kernels: triton, cuda, helion, cutedsl, or pytorch (for learning and for the CPU, not for training)."""
    source: str | None = None
    """Where the suite takes its data from; its own default if unset."""
    dtype: str | None = None
    """Floating dtype that the suite draws in, such as bfloat16; its own default if unset."""
    cases_per_op: int | None = None
    """Correctness cases of an operator, at most, and a third as many performance cases; torchbench alone (12)."""
    topn: int | None = None
    """Only so many of an operator's recorded calls, the largest that fit the device; torchbench alone."""
    overhead_dominated: bool = False
    """Time calls that are mostly launch, too; torchbench alone."""
    error_inputs: bool = False
    """Arguments that the operator refuses are cases, too: the kernel must raise; opinfo alone."""
    perf_cases: PerfCases = "suite"
    """Performance cases of opinfo and facto: suite (they have none), or traces (calls of the bundled models)."""
    profile: Profile = "strict"
    """Rules of comparison and scoring: strict, or backendbench for comparison with that project."""
    prompt_template: Path | None = None
    """File that replaces the prompt's own template; see backend_bench/dialogue/prompt.py."""
    examples: int = Field(prompt.EXAMPLES, ge=0)
    """Cases whose arguments are shown in the prompt, at most."""
    prompt_budget: int = Field(prompt.BUDGET, ge=1)
    """Characters of a prompt, at most: examples give way first, the rules never do."""
    task: BackendBenchTaskConfig = Field(default_factory=BackendBenchTaskConfig)
    """How kernels are judged and kept."""

    @field_validator("ops", mode="before")
    @classmethod
    def _split_ops(cls, value: Any) -> Any:
        return split_ops(value)

    @field_validator("suite", "language", "profile", "perf_cases", mode="before")
    @classmethod
    def _known_value(cls, value: Any, info: Any) -> Any:
        choices = {"suite": SuiteName, "language": Language, "profile": Profile, "perf_cases": PerfCases}
        return known(value, get_args(choices[info.field_name]), info.field_name)


class BackendBenchTaskset(vf.Taskset[BackendBenchTask, BackendBenchConfig]):
    """The operators of one suite that have cases, or those that were asked for."""

    def load(self) -> list[BackendBenchTask]:
        """One task an operator.

        Raises `UsageError` for an operator that the suite does not have, or has no cases for.
        """
        config = self.config
        device = choose.device(config.task.place)
        languages.check_device(config.language, device)
        _announce(config, device)
        spec = SuiteSpec(
            name=config.suite,
            device=device,
            dtype=config.dtype,
            source=config.source,
            cases_per_op=config.cases_per_op,
            topn=config.topn,
            overhead_dominated=config.overhead_dominated,
            error_inputs=config.error_inputs,
            perf_cases=config.perf_cases,
        )
        index = choose.read_index(config.task.place, spec)
        template = None if config.prompt_template is None else prompt.read_template(config.prompt_template)
        gpu = choose.gpu_facts(config.task.place) if device == "cuda" else None
        return [
            BackendBenchTask(self._data(entry, index.spec, template, gpu), config.task)
            for entry in wanted(index, config.ops)
        ]

    def _data(
        self, entry: Entry, spec: SuiteSpec, template: str | None, gpu: Mapping[str, Any] | None
    ) -> BackendBenchData:
        """`spec` is the index's own: its source is absolute and pinned to its content."""
        config = self.config
        brief = prompt.Brief(
            entry=entry,
            language=config.language,
            device=spec.device,
            gpu=gpu,
            profile=config.profile,
            examples=config.examples,
            example=languages.example_beside(config.language, Operator.parse(entry.op)),
        )
        data = BackendBenchData.model_validate(
            {
                "name": entry.op,
                "prompt": prompt.prompt(brief, template=template, budget=config.prompt_budget),
                "op": entry.op,
                "language": config.language,
                "suite": spec.name,
                "device": spec.device,
                "dtype": spec.dtype,
                "source": spec.source,
                "cases_per_op": spec.cases_per_op,
                "topn": spec.topn,
                "overhead_dominated": spec.overhead_dominated,
                "error_inputs": spec.error_inputs,
                "perf_cases": spec.perf_cases,
                "calls": entry.calls,
                "profile": config.profile,
            }
        )
        return data.model_copy(update={"id": data.key})


def wanted(index: SuiteIndex, ops: list[str]) -> Iterator[Entry]:
    """The entries that are asked for, in the order asked; all that have cases when none is named."""
    if not ops:
        yield from (entry for entry in index.entries.values() if entry.correctness or entry.performance)
        return
    for op in dict.fromkeys(str(Operator.parse(text)) for text in ops):
        entry = index.entries.get(op)
        if entry is None:
            raise UsageError(f"suite {index.spec.name!r} has no operator {op!r}{_near(op, index)}")
        if not entry.correctness and not entry.performance:
            reason = entry.reason or "the suite gives no reason"
            raise UsageError(f"suite {index.spec.name!r} has no cases for {op}: {reason}")
        yield entry


def split_ops(value: Any) -> Any:
    """`ops` as a list: from a list, a JSON list, or names with commas between."""
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.split(",")
    if isinstance(value, list):
        parts = [part for item in value for part in (item.split(",") if isinstance(item, str) else [item])]
        return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]
    return [] if value is None else value


def known(value: Any, choices: tuple[str, ...], what: str) -> Any:
    """The value, or a `ValueError` that names the nearest of the choices."""
    if not isinstance(value, str) or value in choices:
        return value
    near = difflib.get_close_matches(value.lower(), choices, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"{what} {value!r} is not one of {', '.join(choices)}; {hint}".rstrip("; "))


def _near(op: str, index: SuiteIndex) -> str:
    """Names like the one that is missing: its other overloads first, then similar spellings."""
    base = Operator.parse(op).base
    names = [name for name in index.entries if Operator.parse(name).base == base]
    names += difflib.get_close_matches(op, index.entries, n=4)
    bases = {Operator.parse(name).base: name for name in index.entries}
    names += [bases[name] for name in difflib.get_close_matches(base, bases, n=3)]
    return f"; did you mean {', '.join(list(dict.fromkeys(names))[:5])}?" if names else ""


def _announce(config: BackendBenchConfig, device: Device) -> None:
    """Say once what a person may not expect."""
    place = config.task.place
    if device == "cpu" and place.rpartition(choose.THEN)[2] != "cpu" and ("cpu" not in _announced):
        _announced.add("cpu")
        where = "this host" if place == "local" else place
        logger.warning("%s has no GPU: kernels are judged on its CPU, and the records say so", where)
    if config.language == "pytorch" and ("pytorch" not in _announced):
        _announced.add("pytorch")
        logger.warning("language=pytorch is for learning and for the CPU, not for training rewards")


_announced: set[Literal["cpu", "pytorch"]] = set()
