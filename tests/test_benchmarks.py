"""What the benchmarks make of their figures. Nothing is measured or drawn here."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MACHINE = {"cpu": "a processor", "torch": "2.0", "gpus": []}


@pytest.fixture
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file of benchmarks/, as it finds its neighbours when it is run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module(request.param)


plots = pytest.mark.parametrize("benchmark", ["plots"], indirect=True)
beside = pytest.mark.parametrize("benchmark", ["beside_backendbench"], indirect=True)
worker = pytest.mark.parametrize("benchmark", ["backendbench_worker"], indirect=True)


def case(speedup: float | None, time_us: float = 20.0, args: str = "(1)") -> dict[str, Any]:
    return {"args": args, "speedup": speedup, "reference_us": time_us}


def itself(*cases: dict[str, Any], **more: Any) -> dict[str, Any]:
    verdicts = [{"op": "relu.default", "cases": [one]} for one in cases]
    return {"what": "ATen against itself", "dtype": "float32", "verdicts": verdicts, **more}


@plots
def test_ratios_of_kernels_are_not_drawn_as_noise(benchmark: ModuleType) -> None:
    verdicts = [{"op": "relu.default", "language": "triton", "cases": [case(1.5)]}]
    assert benchmark.kind({"verdicts": verdicts}) is None
    assert benchmark.kind({"verdicts": [{**verdicts[0], "language": "aten"}]}) == "noise"
    assert benchmark.kind(itself(case(None))) is None, "nothing was timed"


@plots
@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"verdicts": 3}', '{"verdicts": [1]}'])
def test_a_file_that_cannot_be_drawn_is_named(benchmark: ModuleType, tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"some\.json"):
        benchmark.document(path)


@plots
@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_kept_results_are_read(benchmark: ModuleType, name: str) -> None:
    path = ROOT / "benchmarks" / "results" / "h100-2026-11-24" / f"selfcheck-smoke-{name}.json"
    (cases,) = benchmark.noise_series([benchmark.document(path)]).values()
    assert len(benchmark.points(cases)) == len(cases) == 40


@plots
def test_repetitions_make_one_point(benchmark: ModuleType) -> None:
    (cases,) = benchmark.noise_series([itself(case(1.01, 30.0), case(0.98, 10.0), case(1.0, 20.0))]).values()
    (point,) = benchmark.points(cases)
    assert point.time_us == 20.0
    assert point.percents == pytest.approx((-2.0, 0.0, 1.0))


@plots
def test_the_goal_depends_on_the_time(benchmark: ModuleType) -> None:
    long, short = benchmark.Point(10.0, (-2.0, 0.5)), benchmark.Point(9.9, (-2.0, 0.5))
    assert benchmark.in_goal([long]) == 0.5
    assert benchmark.in_goal([short]) == 1.0


@plots
def test_load_and_quiet_are_two_series(benchmark: ModuleType) -> None:
    found = benchmark.noise_series([itself(case(1.0), load=False), itself(case(1.1), load=True)])
    assert list(found) == ["quiet", "under load"]


@plots
def test_no_second_is_lost_among_small_stages(benchmark: ModuleType) -> None:
    """Bars keep their length, whatever is shown as one."""
    first = benchmark.Bar("first", {f"stage {number}": 1.0 for number in range(12)}, 0.0, 12.0)
    second = benchmark.Bar("second", {"timing": 9.0, "fork": 0.001, "other": 0.5}, 3.0, 12.5)
    shown = benchmark.grouped([first, second])
    assert [sum(seconds) for seconds in zip(*shown.values(), strict=True)] == pytest.approx([12.0, 9.501])
    assert "fork" not in shown
    assert list(shown)[-1] == "other"


@plots
def test_machine_and_commit_are_told_once(benchmark: ModuleType) -> None:
    found = {"machine": MACHINE, "commit": "0123456789abcdef-dirty"}
    assert benchmark.provenance([found, found]) == "a processor; torch 2.0; commit 0123456789ab-dirty"


@beside
def test_no_test_is_no_pass(benchmark: ModuleType) -> None:
    """A suite that is empty on this host, or a process that ended, has called nothing right."""
    assert benchmark.right({"passed": 4, "tests": 4, "timed": 0, "performance_tests": 0})
    assert not benchmark.right({"passed": 0, "tests": 0, "timed": 0, "performance_tests": 0})
    assert not benchmark.right({"passed": 4, "tests": 4, "timed": 1, "performance_tests": 2})
    assert not benchmark.right({"fault": "its process ended"})


@beside
def test_what_its_command_line_says_is_read(benchmark: ModuleType, tmp_path: Path) -> None:
    rows = [{"test_type": "correctness", "is_correct": right, "error_msg": "" if right else "no"} for right in (True, False)]  # fmt: skip
    written = tmp_path / "full_results.json"
    written.write_text(json.dumps([{**row, "max_abs_error": float("-inf")} for row in rows]))
    found = benchmark.read_command(
        "correctness score (mean): 0.00\nperformance score (geomean): nan\n", written
    )
    assert (found["passed"], found["tests"], found["performance_score"], found["fault"]) == (1, 2, None, "no")
    assert "Traceback" in benchmark.read_command("Traceback", written)["fault"]


@beside
def test_cases_without_a_time_are_counted(benchmark: ModuleType) -> None:
    found = benchmark.bands([case(1.02), case(0.999, 5.0), case(None)])
    assert found["untimed"] == 1
    assert found["spread"]["all"]["ratios"] == 2
    assert found["spread"]["all"]["within_1_percent"] == 0.5
    assert found["spread"]["below"]["within_1_percent"] == 1.0


@worker
def test_a_score_that_is_no_number_is_none(benchmark: ModuleType) -> None:
    found = benchmark.verdict([], [], [float("nan")])
    assert found["performance_score"] is None
    assert "nothing was judged" in found["fault"]
