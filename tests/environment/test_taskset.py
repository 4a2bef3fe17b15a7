"""Which tasks there are, what they carry, and what is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from backend_bench.environment.taskset import BackendBenchConfig, BackendBenchTask, BackendBenchTaskset
from backend_bench.errors import UsageError
from backend_bench.executors import choose
from backend_bench.executors.scripted import ScriptedExecutor
from backend_bench.submission import Limits, Submission

from .conftest import INDEX, Play, by_marker, rewards


def tasks(**config: Any) -> list[BackendBenchTask]:
    given = {"id": "backend-bench", "suite": "smoke", "task": {"gpu": "cpu"}}
    with choose.using(ScriptedExecutor(by_marker, INDEX)):
        return list(BackendBenchTaskset(BackendBenchConfig.model_validate(given | config)))


def test_operators_with_cases_become_tasks() -> None:
    assert [task.data.op for task in tasks()] == ["add.Tensor", "relu.default"]


@pytest.mark.parametrize(
    "ops",
    [
        ["relu.default", "add.Tensor"],
        '["relu.default", "add.Tensor"]',
        "relu.default,add.Tensor",
        " relu , aten.add.Tensor ,",
        ["relu,add.Tensor"],
        "relu,relu.default,add.Tensor",
    ],
)
def test_ops_in_all_their_spellings(ops: Any) -> None:
    assert [task.data.op for task in tasks(ops=ops)] == ["relu.default", "add.Tensor"]


@pytest.mark.parametrize("ops", [[], "", None, "[]"])
def test_no_ops_means_all(ops: Any) -> None:
    assert len(tasks(ops=ops)) == 2


def test_a_task_has_a_durable_name_and_is_small() -> None:
    (task,) = tasks(ops="relu", language="pytorch")
    assert task.key == task.data.id == "backend-bench:smoke:relu.default:pytorch"
    assert len(task.data.model_dump_json()) < 8000
    assert type(task)(task.data, task.config).key == task.key


def test_the_prompt_is_for_the_language() -> None:
    assert "@triton.jit" in str(tasks()[0].data.prompt)
    assert "@triton.jit" not in str(tasks(language="pytorch")[0].data.prompt)


@pytest.mark.parametrize(
    ("ops", "said"),
    [
        ("rellu", "did you mean relu.default"),
        ("add", "did you mean add.Tensor"),
        ("rand", "random: its results cannot be compared"),
        ("re lu", "not an operator name"),
    ],
)
def test_an_operator_that_cannot_be_had_is_told(ops: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tasks(ops=ops)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"suite": "smok"}, "did you mean smoke"),
        ({"language": "tritn"}, "did you mean triton"),
        ({"profile": "strct"}, "did you mean strict"),
        ({"task": {"gpu": "H10"}}, "did you mean H100"),
        ({"task": {"gpu": "h100"}}, "did you mean H100"),
        ({"task": {"gpu": "H100"}}, "nobody is logged in to Modal"),
        ({"task": {"gpu": "ray://h"}}, "is no cluster"),
        ({"task": {"performance_on": "nowhere"}}, "is not a place that judges"),
        ({"task": {"gpu": "http://"}}, "is no address"),
        ({"task": {"sandbox": "of"}}, "did you mean off"),
        ({"task": {"run": "../up"}}, "pattern"),
        ({"task": {"timing_s": 0}}, "greater than 0"),
        ({"task": {"timing_s": 31}}, "less than or equal to 30"),
    ],
)
def test_a_value_that_does_not_exist_is_told(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        tasks(**config)


@pytest.mark.parametrize("timing_s", [None, 0.2])
def test_what_a_timing_may_take_reaches_the_judge(
    monkeypatch: pytest.MonkeyPatch, timing_s: float | None
) -> None:
    asked: list[Submission] = []

    class Place:
        async def submit(self, submission: Submission) -> None:
            asked.append(submission)

    [task] = tasks(ops="relu", task={"gpu": "cpu", "timing_s": timing_s})
    monkeypatch.setattr(choose, "choose", lambda _: Place())
    asyncio.run(task.judge("code"))
    assert asked[0].limits == Limits(timing_s=timing_s)


def test_a_run_has_a_name_of_its_own() -> None:
    """Two configs of one process never write to the same folder."""
    assert BackendBenchConfig().task.run != BackendBenchConfig().task.run


def test_the_command_line_reaches_every_knob(play: Play) -> None:
    played = play(
        *(
            "--env.taskset.ops",
            '["relu.default"]',
            "--env.num-turns",
            "2",
            "--env.feedback-loop",
            "until_correct",
        ),
        model=rewards(0.5, 1.0),
    )
    assert played.code == 0
    assert len(played.turns) == 2


@pytest.mark.parametrize(
    "flags", [("--env.feedback-loop", "until_corect"), ("--env.taskset.suite", "smok"), ("--nonsense", "1")]
)
def test_wrong_usage_exits_2(play: Play, flags: tuple[str, str]) -> None:
    assert play(*flags, suite=None if "suite" in flags[0] else "smoke").code == 2


def test_an_unknown_operator_exits_2(play: Play) -> None:
    played = play(ops="rellu")
    assert played.code == 2
    assert "did you mean relu.default" in played.err


@pytest.mark.slow
def test_the_client_never_imports_torch() -> None:
    """Not for the environment, the prompts, the authors, the records or the tables."""
    program = (
        "import sys, json\n"
        "import backend_bench\n"
        "before = 'verifiers' in sys.modules\n"
        "from backend_bench.environment import eval\n"
        "eval.translate(['-m', 'm'])\n"
        "light = 'verifiers' in sys.modules\n"
        "assert [getattr(backend_bench, name) for name in backend_bench.__all__]\n"
        "import backend_bench.authors, backend_bench.executors.scripted, backend_bench.report.table\n"
        "print(json.dumps([before, light, 'torch' in sys.modules, 'triton' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False, False, False]
