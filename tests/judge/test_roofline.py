"""What a device was seen to do at best: kept on this host, so that a busy or warm moment raises no floor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend_bench.judge import roofline
from backend_bench.judge.judge import Judge
from backend_bench.judge.pace import Plan
from backend_bench.judge.roofline import Peaks
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Status

GPU = torch.device("cuda", 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "peaks" / "GPU-0.json"
    monkeypatch.setattr(roofline, "_place", lambda device: found)
    return found


def measuring(monkeypatch: pytest.MonkeyPatch, peaks: Peaks) -> None:
    monkeypatch.setattr(roofline, "_measured", lambda device: peaks)


def test_the_best_that_was_seen_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, Peaks(4e6, 7e8))
    assert roofline.best(GPU) == Peaks(4e6, 7e8)
    measuring(monkeypatch, Peaks(3e6, 8e8))
    assert roofline.best(GPU) == Peaks(4e6, 8e8)
    assert roofline._read(place) == Peaks(4e6, 8e8)


@pytest.mark.parametrize("damage", ["", "{", '{"bytes_per_us": "many"}'])
def test_a_damaged_file_is_measured_again(place: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    place.parent.mkdir()
    place.write_text(damage)
    measuring(monkeypatch, Peaks(4e6, 7e8))
    assert roofline.best(GPU) == Peaks(4e6, 7e8)
    assert roofline._read(place) == Peaks(4e6, 7e8)


def test_without_a_place_to_keep_it_the_measurement_counts(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.parent.write_text("a file where the folder should be")
    measuring(monkeypatch, Peaks(4e6, 7e8))
    assert roofline.best(GPU) == Peaks(4e6, 7e8)


def test_a_cpu_has_no_floor() -> None:
    assert roofline.best(torch.device("cpu")) == Peaks()
    call = roofline.Call((torch.randn(64, 64), torch.randn(64, 64)))
    assert Peaks().floor_us(torch.ops.aten.mm.default, call) == 0


def test_a_floor_that_aten_itself_goes_below_is_none(own_judge: Judge) -> None:
    """A GPU whose clock had not come up was measured at half its rate, and honest kernels were called impossible."""
    own_judge._known_peaks = Peaks(bytes_per_us=1.0, flops_per_us=1.0)
    suite = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    reference = Submission(
        op=Operator.parse("mm"),
        kind="reference",
        suite=suite,
        only="performance",
        limits=Limits(timing_s=0.05),
    )
    verdict = own_judge.judge(reference)
    assert verdict.status is Status.OK
    for case in verdict.cases:
        assert case.floor_us is not None
        assert 0 < case.floor_us < 2 * 256**3 / 100  # what ATen took, and not what these peaks allow


def test_a_floor_is_a_tenth_below_what_aten_was_seen_to_take() -> None:
    plan = Plan((), 1, 1, 1, 0, 0, False, 50.0)
    assert plan.possible(22.0).floor_us == pytest.approx(20)
    assert plan.possible(1e9) == plan
