"""A model with a shell leaves its kernel in a file; the host's own bash harness runs it, in a box on this host."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf
from verifiers.v1.harnesses.utils.launch import CHAT_PROGRAM_SOURCE
from verifiers.v1.runtimes.subprocess import SubprocessRuntime

from backend_bench.authors.server import Speaker, ToolCall
from backend_bench.dialogue.prompt import KERNEL_FILE, REPLY, for_shell
from backend_bench.environment.data import BackendBenchData
from backend_bench.environment.grader import GraderConfig, GraderToolset
from backend_bench.environment.loop import ANOTHER_FILE
from backend_bench.errors import ServiceError
from backend_bench.executors import choose
from backend_bench.executors.scripted import ScriptedExecutor
from backend_bench.submission import Submission
from backend_bench.verdict import Status, Verdict

from .conftest import INDEX, Play, by_marker, kernel, turn_of, verdict

BASH = ("--env.agent.harness.id", "bash", "--env.agent.harness.compaction", "None")
SOURCE = "import torch\n\n\ndef relu__default_kernel_impl(x):\n    return x.clamp_min(0)\n"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's chat program runs on this interpreter: tests have no network for an environment of its own."""
    program = tmp_path / "scripts" / f"{hashlib.sha256(CHAT_PROGRAM_SOURCE.encode()).hexdigest()}.py"
    program.parent.mkdir()
    program.write_text(CHAT_PROGRAM_SOURCE)
    monkeypatch.setattr(SubprocessRuntime, "scripts_dir", str(program.parent))
    monkeypatch.setattr(SubprocessRuntime, "_interpreters", {str(program): sys.executable})


def write(text: str) -> ToolCall:
    return ToolCall("bash", {"command": f"cat > {KERNEL_FILE} <<'END'\n{text}\nEND\necho written"})


def working(*turns: str | ToolCall | None) -> Speaker:
    """A model that makes each turn's call, and then says that it is done; None makes none."""

    def speak(messages: Any) -> str | ToolCall:
        asked = sum(message["role"] == "user" for message in messages)
        call = turns[min(asked, len(turns)) - 1]
        called = messages[-1]["role"] == "tool"
        return "Done." if called or call is None else call

    return speak


def said(played: Any, role: str) -> list[str]:
    """The distinct messages of a role, in order; a resumed program repeats the earlier ones."""
    nodes = (node["message"] for node in played.trace["nodes"])
    return list(dict.fromkeys(message["content"] for message in nodes if message["role"] == role))


@pytest.mark.slow
def test_a_file_in_the_box_is_judged_and_mended(play: Play) -> None:
    played = play(*BASH, model=working(write("# reward 0.5"), write("# reward 1.5")), ops="relu", num_turns=2)
    assert [turn["reward"] for turn in played.turns] == [0.5, 1.5]
    assert played.turns[0]["code"] == "# reward 0.5\n"
    prompt, feedback = said(played, "user")
    assert KERNEL_FILE in prompt
    assert REPLY not in prompt
    assert feedback == played.turns[0]["feedback"]
    assert feedback.endswith("Mend it and change the file.")
    assert any("written" in text for text in said(played, "tool"))
    assert played.reward == 1.5
    assert played.trace["metrics"]["drafts"] == 0


@pytest.mark.slow
def test_no_file_is_no_code_and_without_feedback_the_file_is_named(play: Play) -> None:
    model = working(None, write("# reward 0.5"), write("# reward 0.75"))
    played = play(*BASH, model=model, ops="relu", num_turns=3, feedback_loop="none")
    assert [turn["code"] for turn in played.turns] == [None, "# reward 0.5\n", "# reward 0.75\n"]
    _, first, second = said(played, "user")
    assert f"There is no `{KERNEL_FILE}`" in first
    assert second == ANOTHER_FILE


@pytest.mark.slow
def test_a_limit_that_ends_the_work_does_not_lose_the_file(play: Play) -> None:
    """Two model calls: the file is written in the first turn, and again in the second, which the limit ends."""
    limit = ("--env.agent.max-turns", "3")
    model = working(write("# reward 0.5"), write("# reward 1.25"))
    played = play(*BASH, *limit, model=model, ops="relu", num_turns=3)
    assert [turn["reward"] for turn in played.turns] == [0.5, 1.25]


@pytest.mark.slow
def test_the_hosts_own_loop_reads_the_file_too(play: Play) -> None:
    flags = ("--env.id", "single-agent", "--env.agent.runtime.type", "subprocess")
    played = play(*BASH, *flags, model=working(write("# reward 0.75")), ops="relu")
    assert played.reward == 0.75


def test_the_prompt_of_a_shell() -> None:
    assert "kernel_grade" not in for_shell(REPLY)
    assert "3 times at most" in for_shell(REPLY, drafts=3)
    assert for_shell("My own template.").startswith("My own template.\n\nYou have a shell")


# ---- the grading tool ----------------------------------------------------------------------------


def grader(calls: int) -> GraderToolset:
    tool = GraderToolset(GraderConfig(calls=calls, place="cpu"))
    data = BackendBenchData(op="relu.default", language="pytorch", suite="smoke", device="cpu")
    asyncio.run(tool.setup_task(data))
    return tool


def grade(tool: GraderToolset, executor: ScriptedExecutor, *codes: str) -> list[str]:
    async def all_at_once() -> list[str]:
        return list(await asyncio.gather(*(tool.grade(code) for code in codes)))

    with choose.using(executor):
        return asyncio.run(all_at_once())


def test_a_draft_is_judged_and_the_budget_holds_even_at_once() -> None:
    executor = ScriptedExecutor(by_marker, INDEX)
    told = grade(grader(2), executor, *(f"# reward 0.{n}" for n in range(1, 5)))
    assert len(executor.submissions) == 2
    assert sum("No calls are left" in text for text in told) == 2
    assert "1 of 2 calls left." in told[0]
    assert "change the file" in told[0]


def test_a_judges_fault_costs_no_call() -> None:
    answers: list[Verdict | Exception] = [
        ServiceError("busy"), verdict(None, status=Status.ERROR), verdict(1.5), verdict(1.5),
    ]  # fmt: skip
    tool = grader(1)
    executor = ScriptedExecutor(lambda _: answers.pop(0), INDEX)
    told = [grade(tool, executor, "# reward 1")[0] for _ in range(4)]
    assert "busy" in told[0]
    assert "the judge tripped" in told[1]
    assert "0 of 1 calls left" in told[2]
    assert "No calls are left" in told[3]
    assert [draft.reward for draft in tool.state.drafts] == [1.5]


def test_a_draft_of_any_length_is_refused_for_free() -> None:
    executor = ScriptedExecutor(by_marker, INDEX)
    (told,) = grade(grader(1), executor, "x" * 10_000_000)
    assert "no call was used" in told
    assert not executor.submissions


@pytest.mark.slow
def test_an_agent_calls_the_tool(play: Play, runtime_folder: Path) -> None:
    """The tool's server is a process of its own, so a real judge answers it; the rollout's own judge is scripted."""

    def speak(messages: Any) -> str | ToolCall:
        calls = sum(message["role"] == "tool" for message in messages)
        steps: list[str | ToolCall] = [
            ToolCall("kernel_grade", {"code": SOURCE}),
            ToolCall("kernel_grade", {"code": SOURCE}),
            write("# reward 1.5"),
            "Done.",
        ]
        return steps[calls]

    played = play(*BASH, model=speak, ops="relu", dtype="float32", grader_calls=1)
    first, second, _ = said(played, "tool")
    assert "Every test passed." in first
    assert "0 of 1 calls left." in first
    assert "No calls are left" in second
    assert played.trace["metrics"]["drafts"] == 1
    assert played.trace["info"]["drafts"][0]["source_sha256"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert played.reward == 1.5  # what was left counts, not the draft


# ---- a task proves itself ------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "valid"), [(Status.OK, True), (Status.WRONG, False)])
def test_a_task_validates_itself(status: Status, valid: bool, tmp_path: Path) -> None:
    from backend_bench.environment.taskset import BackendBenchTask, BackendBenchTaskConfig

    executor = ScriptedExecutor({"relu.default": verdict(1.0, status=status)}, INDEX)
    data = BackendBenchData(op="relu.default", language="triton", suite="smoke", device="cpu")
    task = BackendBenchTask(data, BackendBenchTaskConfig(gpu="cpu", kernels_dir=tmp_path))
    box = SubprocessRuntime(vf.SubprocessConfig())
    with choose.using(executor):
        assert asyncio.run(task.validate(box)) is valid
    (submission,) = executor.submissions
    assert (submission.kind, submission.only, submission.source) == ("reference", "correctness", "")


def test_turns_are_counted_by_the_model(play: Play) -> None:
    """A chat still plays as it did: no box is looked into, one reply a turn."""
    played = play(model=lambda messages: kernel(f"reward {turn_of(messages)}"), ops="relu", num_turns=2)
    assert [turn["reward"] for turn in played.turns] == [1.0, 2.0]
    assert isinstance(played.executor.submissions[0], Submission)
