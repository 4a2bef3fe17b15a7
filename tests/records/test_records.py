"""Kernels on disk: nothing is overwritten, the best is kept whole, numbers are JSON."""

from __future__ import annotations

import json
import math
import multiprocessing
from pathlib import Path

import pytest

from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.records import Run, Turn, new_run_name, plain, read_verdict, verdict_json
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Tally, Verdict

ADD = Operator.parse("add.Tensor")


def verdict(reward: float | None = 1.0, status: Status = Status.OK) -> Verdict:
    return Verdict(
        op="add.Tensor",
        language="triton",
        status=status,
        correctness_score=1.0,
        performance_score=reward,
        reward=reward,
        correctness=Tally(passed=1, total=1),
        cases=(
            CaseResult(
                args="((T([2], f32),), {})",
                kind=CaseKind.CORRECTNESS,
                status=CaseStatus.PASSED,
                max_abs_error=0.5,
            ),
        ),
        evidence=(Evidence(rule="precomputed", detail="seen"),),
        stages_s={"load": 0.5},
    )


def turn(
    reward: float | None = 1.0,
    *,
    number: int = 1,
    rollout: str = "r1",
    code: str | None = "x = 1\n",
    status: Status = Status.OK,
) -> Turn:
    judged = None if code is None else verdict(reward, status)
    return Turn(
        op=ADD, rollout=rollout, turn=number, code=code, verdict=judged, reward=reward, feedback="faster\n"
    )


def best(run: Run) -> Path:
    return run.path / "best" / "add__Tensor" / "add__Tensor_implementation_v1.py"


def test_a_verdict_survives_its_json() -> None:
    text = json.dumps(verdict_json(verdict()), allow_nan=False)
    assert read_verdict(json.loads(text)) == verdict()


def test_the_contracts_names_are_there() -> None:
    data = verdict_json(verdict())
    names = "op language status correctness_score performance_score reward correctness performance cases evidence wall_s"
    assert set(names.split()) <= set(data)
    assert data["status"] == "ok"
    assert data["correctness"] == {"passed": 1, "total": 1}
    case = "args kind status message max_abs_error max_rel_error reference_us candidate_us speedup noise"
    assert set(case.split()) <= set(data["cases"][0])


def test_a_number_that_json_cannot_hold_is_null_with_a_message() -> None:
    case = CaseResult(
        args="()",
        kind=CaseKind.CORRECTNESS,
        status=CaseStatus.WRONG,
        message="differs",
        max_abs_error=math.inf,
    )
    data = verdict_json(
        Verdict(op="relu.default", language="triton", status=Status.WRONG, cases=(case,), reward=math.nan)
    )
    assert data["cases"][0]["max_abs_error"] is None
    assert data["cases"][0]["message"] == "differs (not finite: max_abs_error)"
    assert data["reward"] is None


def test_unknown_fields_are_ignored_and_nonsense_is_refused() -> None:
    assert read_verdict({**verdict_json(verdict()), "later": 1}) == verdict()
    with pytest.raises(UsageError, match="not a verdict"):
        read_verdict({"op": "relu"})


def test_plain_makes_json_of_anything() -> None:
    value = {"a": (1, math.inf), 2: Path("x"), "s": Status.OK, "n": None, "b": True}
    assert plain(value) == {"a": [1, None], "2": "x", "s": "ok", "n": None, "b": True}


def test_run_names_differ() -> None:
    assert len({new_run_name() for _ in range(50)}) == 50


def test_each_turn_has_files_of_its_own(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    folder = run.write(turn(number=1))
    run.write(turn(number=2))
    run.write(turn(rollout="r2"))
    assert folder == tmp_path / "run" / "r1" / "add__Tensor"
    stem = "add__Tensor_implementation_v1"
    names = {file.name for file in folder.iterdir()}
    assert {
        f"{stem}.py",
        f"{stem}.verdict.json",
        f"{stem}.feedback.md",
        "add__Tensor_implementation_v2.py",
    } <= names
    assert (folder / f"{stem}.py").read_text() == "x = 1\n"
    assert [line["rollout"] for line in run.read()] == ["r1", "r1", "r2"]


def test_a_turn_without_code_is_counted_and_has_no_kernel(tmp_path: Path) -> None:
    run = Run(tmp_path)
    folder = run.write(turn(0.0, code=None))
    assert not list(folder.glob("*.py"))
    assert next(run.read())["verdict"] is None


def test_the_best_is_one_file_and_the_first_of_equals(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for reward, code in ((0.5, "half"), (2.0, "two"), (2.0, "again"), (1.0, "one")):
        run.write(turn(reward, code=code, rollout=code))
    assert best(run).read_text() == "two"
    assert [file.name for file in best(run).parent.glob("*.py")] == ["add__Tensor_implementation_v1.py"]
    assert json.loads(best(run).with_suffix(".verdict.json").read_text())["rollout"] == "two"


@pytest.mark.parametrize(
    "bad",
    [turn(0.0), turn(None), turn(math.inf), turn(5.0, status=Status.CHEATED), turn(0.0, code=None)],
)
def test_what_earned_nothing_is_no_best(tmp_path: Path, bad: Turn) -> None:
    run = Run(tmp_path)
    run.write(bad)
    assert not best(run).exists()


def _write_many(path: str, name: int) -> None:
    for number in range(10):
        reward = float(name * 10 + number)
        Run(Path(path)).write(
            turn(reward, code=f"r = {reward}\n" * 2000, number=number + 1, rollout=f"p{name}")
        )


def test_processes_share_a_run(tmp_path: Path) -> None:
    """Every line arrives whole, and the best of all of them stays."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(str(tmp_path), name)) for name in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(line["reward"] for line in Run(tmp_path).read()) == [float(n) for n in range(10, 30)]
    assert best(Run(tmp_path)).read_text() == "r = 29.0\n" * 2000
    assert not list(tmp_path.rglob(".add__*"))


def test_a_half_written_line_is_passed_over(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(turn())
    with run.verdicts.open("a") as file:
        file.write('{"op": "ad')
    assert len(list(run.read())) == 1


def test_the_run_is_described_once(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.describe({"suite": "smoke"})
    run.describe({"suite": "other"})
    data = json.loads((run.path / "run.json").read_text())
    assert data["arguments"] == {"suite": "smoke"}
    assert data["versions"]["backend_bench"]


def test_odd_text_is_kept(tmp_path: Path) -> None:
    Run(tmp_path).write(turn(code="x = '\udcff é'\n"))
    assert "é" in best(Run(tmp_path)).read_text()
