"""A suite of two operators, a judge that answers from a script, and a way to play a whole run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend_bench.authors.server import Speaker, serving
from backend_bench.cases import Entry, SuiteIndex
from backend_bench.environment.eval import run_eval
from backend_bench.executors import choose
from backend_bench.executors.scripted import Script, ScriptedExecutor
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Tally, Verdict

INDEX = SuiteIndex(
    spec=SuiteSpec(name="smoke"),
    source="a test",
    torch="none",
    entries={
        "add.Tensor": Entry(
            op="add.Tensor",
            schema="add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
            correctness=("((T([2, 3], f32), T([3], f32)), {'alpha': 2})",),
        ),
        "rand.default": Entry(op="rand.default", reason="random: its results cannot be compared"),
        "relu.default": Entry(
            op="relu.default",
            schema="relu(Tensor self) -> Tensor",
            correctness=("((T([5], f32),), {})", "((T([], f32),), {})"),
            performance=("((T([1024], f32),), {})",),
        ),
    },
)


def verdict(reward: float | None, *, op: str = "relu.default", status: Status | None = None) -> Verdict:
    """A verdict that earned `reward`; right from 1 on."""
    right = reward is not None and reward >= 1
    return Verdict(
        op=op,
        language="pytorch",
        status=status or (Status.OK if right else Status.WRONG),
        message="the judge tripped" if status is Status.ERROR else "",
        correctness_score=None if reward is None else min(1.0, reward),
        performance_score=None if reward is None else max(1.0, reward),
        reward=reward,
        correctness=Tally(passed=2 if right else 1, total=2),
        performance=Tally(passed=1 if right else 0, total=1),
        cases=(
            CaseResult(
                args="((T([5], f32),), {})",
                kind=CaseKind.CORRECTNESS,
                status=CaseStatus.PASSED if right else CaseStatus.WRONG,
                message="" if right else "values differ at [2]: got 1, expected 2",
            ),
        ),
        wall_s=0.25,
    )


def by_marker(submission: Submission) -> Verdict:
    """Right where the kernel's text says so: `# reward 1.5`."""
    reward = float(submission.source.rpartition("# reward ")[2].split()[0])
    return verdict(reward, op=str(submission.op))


def kernel(text: str, function: str = "relu__default_kernel_impl") -> str:
    return f"```python\ndef {function}(x):\n    return x  # {text}\n```\n"


def turn_of(messages: Any) -> int:
    """Which turn a request asks for, counted from 1."""
    return 1 + sum(message["role"] == "assistant" for message in messages)


def rewards(*values: float | str) -> Speaker:
    """A model whose turns earn these rewards; a string is said as it is."""

    def speak(messages: Any) -> str:
        value = values[min(turn_of(messages), len(values)) - 1]
        return value if isinstance(value, str) else kernel(f"reward {value}")

    return speak


@dataclass
class Played:
    """What a run came to."""

    code: int
    episodes: list[dict[str, Any]]
    executor: ScriptedExecutor
    kernels: Path
    out: str
    err: str

    @property
    def trace(self) -> dict[str, Any]:
        (episode,) = self.episodes
        (trace,) = episode["traces"]
        return dict(trace)

    @property
    def turns(self) -> list[dict[str, Any]]:
        return list(self.trace["info"]["turns"])

    @property
    def reward(self) -> float:
        return sum(reward["score"] * reward["weight"] for reward in self.trace["rewards"].values())


Play = Callable[..., Played]


@pytest.fixture
def play(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Play]:
    """Run `backend-bench eval` in this process, judged by a script."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(
        *flags: str,
        model: Speaker | str = "builtin/pytorch",
        script: Script = by_marker,
        index: SuiteIndex = INDEX,
        watched: bool = False,
        resumed: bool = False,
        **arguments: Any,
    ) -> Played:
        executor = ScriptedExecutor(script, index)
        given = {
            "suite": "smoke",
            "gpu": "cpu",
            "language": "pytorch",
            "kernels_dir": str(tmp_path / "kernels"),
            "run": "run",
        }
        words = [
            "-a",
            json.dumps(given | arguments),
            *([] if watched else ["-d"]),
            "-o",
            str(tmp_path / "out"),
            "--run.name",
            "run",
            *flags,
        ]
        with choose.using(executor):
            if resumed:
                saved = tmp_path / "out" / "run" / "configs" / "resolved" / "eval.json"
                code = run_eval(["@", str(saved), "--resume"])
            elif isinstance(model, str):
                code = run_eval(["-m", model, *words])
            else:
                with serving("test", speaker=model) as url:
                    code = run_eval(["-m", "test", "-b", url, "-k", "EMPTY", *words])
        traces = tmp_path / "out" / "run" / "traces.jsonl"
        lines = traces.read_text().splitlines() if traces.exists() else []
        out, err = capfd.readouterr()
        return Played(
            code, [json.loads(line) for line in lines], executor, tmp_path / "kernels" / "run", out, err
        )

    monkeypatch.setattr("verifiers.v1.utils.interrupt._cleaning_up", False)  # else a second run is deaf
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
