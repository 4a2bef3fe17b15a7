"""Right kernels are more precise than ATen and write where it writes; a draw that refuses one is told as a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.grading.traits import Op
from backend_bench.mutants import audit as audits
from backend_bench.mutants.mutant import DoesNotApply, Kernel, Mutant
from backend_bench.mutants.witnesses import witnesses
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite

aten = torch.ops.aten


def kernels(op: Op) -> dict[str, Kernel]:
    return {witness.name: witness.kernel for witness in witnesses(op)}


def test_what_is_reckoned_in_float64_is_rounded_once() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, dtype=torch.bfloat16)
    call = Call((x, x.flip(0)), {"alpha": 0.3})
    exact = aten.add.Tensor(x.double(), x.flip(0).double(), alpha=0.3).bfloat16()
    assert torch.equal(kernels(aten.add.Tensor)["float64 inside"](*call.args, **call.kwargs), exact)
    steps = kernels(aten.linspace.default)["float32 inside"](-2.0, 1, 50, dtype=torch.bfloat16)
    assert torch.equal(steps, torch.linspace(-2.0, 1, 50).bfloat16())


def test_several_results_keep_their_dtypes_and_what_is_written_stays_in_its_place() -> None:
    values, places = kernels(aten.topk.default)["float64 inside"](torch.tensor([1.0, 3.0, 2.0]), 2)
    assert (values.dtype, places.dtype, places.tolist()) == (torch.float32, torch.int64, [1, 2])
    x = torch.ones(4)
    assert kernels(aten.add_.Tensor)["float64 inside"](x, torch.ones(4)) is x
    assert x.tolist() == [2.0] * 4


def test_nothing_is_more_precise_than_it_can_be() -> None:
    wide = torch.ones(3, dtype=torch.float64)
    for name in ("float64 inside", "float32 inside"):
        with pytest.raises(DoesNotApply):
            kernels(aten.relu.default)[name](wide)
    assert not kernels(aten.nextafter.default)  # the next float32 is no float64 question


def test_a_right_kernel_that_is_refused_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(op: Op) -> Iterator[Mutant]:
        yield Mutant("more precise than ATen", "twice as much", lambda x: 2 * op(x))

    suite = open_suite(SuiteSpec(name="smoke", device="cpu", dtype="float32"))
    assert audits.audit(suite, "relu.default", seed=1).fault == ""
    monkeypatch.setattr(audits, "witnesses", doubled)
    assert audits.audit(suite, "relu.default", seed=1).fault.startswith("twice as much is refused: draw ")
