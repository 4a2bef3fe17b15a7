"""BackendBench's own files: its names and fields, the best kernel of each operator, JSON that parses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import typer

from backend_bench.cli import runs
from backend_bench.report.backendbench import COLUMNS, write
from backend_bench.report.runs import read

from .recorded import folder, rollout


@pytest.fixture
def files(tmp_path: Path) -> Path:
    run = folder(tmp_path / "run")
    rollout(run, "a", None, 2.0)
    rollout(run, "b", None, op="add.Tensor", message="values differ")
    write(read(run.path), tmp_path / "out", command="a command")
    return tmp_path / "out"


def test_the_four_files_are_there(files: Path) -> None:
    assert {file.name for file in files.iterdir()} == {
        "OVERALL_SUMMARY.md", "full_results.json", "operator_summary.csv", "failed_tests.json",
    }  # fmt: skip


def test_rows_have_its_fields_sorted_by_operator(files: Path) -> None:
    rows = json.loads((files / "full_results.json").read_text(), parse_constant=pytest.fail)
    assert [(row["op_name"], row["test_type"]) for row in rows] == [
        ("add.Tensor", "performance"), ("add.Tensor", "correctness"),
        ("relu.default", "performance"), ("relu.default", "correctness"),
    ]  # fmt: skip
    assert set(rows[1]) == {
        "op_name", "args", "is_correct", "error_msg", "error_type", "traceback", "max_abs_error", "max_rel_error", "test_type",
    }  # fmt: skip
    assert rows[2] == {
        "op_name": "relu.default", "args": "((T([1024], f32),), {})", "speedup": 2.0, "benchmark_time_ms": 0.008,
        "reference_time_ms": pytest.approx(0.0123456789), "error_msg": "", "successfully_ran": True, "test_type": "performance",
    }  # fmt: skip


def test_failed_tests_are_those_that_failed(files: Path) -> None:
    (row,) = json.loads((files / "failed_tests.json").read_text())
    assert (row["op_name"], row["is_correct"], row["error_msg"]) == ("add.Tensor", False, "values differ")


def test_an_operators_line_adds_up(files: Path) -> None:
    with (files / "operator_summary.csv").open() as file:
        add, relu = csv.DictReader(file)
    assert tuple(relu) == COLUMNS
    assert (relu["operator"], relu["total_tests"], relu["geomean_speedup"], relu["correctness_rate"]) == (
        "relu.default",
        "2",
        "2.0",
        "1.0",
    )
    assert (add["failed_correctness_tests"], add["max_relative_error"]) == ("1", "")


def test_the_summary_has_its_table_and_fastest_first(files: Path) -> None:
    text = (files / "OVERALL_SUMMARY.md").read_text()
    assert "| Correctness Score | 0.50 |" in text
    assert "| Perf@1.0 Score | 0.50 |" in text
    assert text.index("| relu.default | 100.0000% | 2.0000x |") < text.index("| add.Tensor | 0.0000% |")


def test_the_command_takes_one_run(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.0)
    runs.report([run.path], backendbench=tmp_path / "bb")
    assert (tmp_path / "bb" / "full_results.json").exists()
    with pytest.raises(typer.Exit):
        runs.report([run.path, run.path], backendbench=tmp_path / "bb")
