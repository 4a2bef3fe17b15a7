"""Exported kernels are right, are the best, and are read by `grade` and `install`."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend_bench import kernels
from backend_bench.cli import runs
from backend_bench.errors import UsageError
from backend_bench.report.export import export
from backend_bench.report.runs import read

from .recorded import folder, rollout


def test_the_best_right_kernels_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", None, 1.0, 2.0)
    rollout(run, "b", None, op="add.Tensor")
    runs.export(run.path, tmp_path / "out")
    assert "1 kernels" in capsys.readouterr().out
    (kernel,) = kernels.find(tmp_path / "out")
    assert str(kernel.op) == "relu.default"
    assert "turn 3" in (kernel.source or "")


def test_wrong_ones_come_when_asked_for(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "b", None, op="add.Tensor")
    with pytest.raises(UsageError, match="none is right"):
        export(read(run.path), tmp_path / "out")
    assert export(read(run.path), tmp_path / "out", wrong_too=True) == ["add.Tensor"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UsageError, match="not empty"):
        export(read(run.path), tmp_path / "out")
