"""What ATen must not be asked twice: cuDNN's attention ends the process at the second time that it has no plan for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from backend_bench import refused
from backend_bench.cases import Call
from backend_bench.grading.running import Unjudgeable, run_reference

aten = torch.ops.aten


class Attention:
    """Refuses what is wider than eight, and takes no second question about that."""

    def __init__(self, name: str) -> None:
        self.overloadpacket = SimpleNamespace(__name__=name)
        self._schema = aten._scaled_dot_product_cudnn_attention.default._schema
        self.asked = 0

    def __call__(self, query: Tensor, *, scale: float | None = None) -> Tensor:
        self.asked += 1
        if query.shape[-1] > 8:
            raise RuntimeError(f"no plan for {tuple(query.shape)}")
        return query


@pytest.mark.parametrize(
    ("name", "asked"),
    [("_scaled_dot_product_cudnn_attention", 1), ("_scaled_dot_product_flash_attention", 3)],
)
def test_what_was_refused_is_refused_again_without_being_asked(name: str, asked: int) -> None:
    op = Attention(name)
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"no plan for \(2, 16\)"):
            refused.call(op, torch.randn(2, 16), scale=0.5)
    assert op.asked == asked
    assert refused.call(op, torch.zeros(2, 8), scale=0.5).shape == (2, 8)
    with pytest.raises(RuntimeError, match=r"no plan for \(3, 16\)"):
        refused.call(op, torch.randn(3, 16), scale=0.5)
    assert op.asked == asked + 2


def test_a_plan_is_the_same_by_whatever_name_and_at_any_scale() -> None:
    op, query = Attention("_scaled_dot_product_cudnn_attention"), torch.randn(4, 16)
    for ask in (
        lambda: refused.call(op, query),
        lambda: refused.call(op, query=query),
        lambda: refused.call(op, query, scale=0.25),
        lambda: refused.call(op, query.clone(), scale=None),
    ):
        with pytest.raises(RuntimeError, match="no plan"):
            ask()
    assert op.asked == 1


def test_a_lack_of_memory_is_no_refusal() -> None:
    class Full(Attention):
        def __call__(self, query: Tensor, *, scale: float | None = None) -> Tensor:
            self.asked += 1
            if self.asked == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return query

    op = Full("_scaled_dot_product_cudnn_attention")
    with pytest.raises(torch.OutOfMemoryError):
        refused.call(op, torch.zeros(2, 8))
    assert refused.call(op, torch.zeros(2, 8)).shape == (2, 8)


@pytest.mark.gpu
def test_cudnn_without_a_plan_does_not_end_the_process() -> None:
    query = torch.randn(1, 2, 128, 64, 2, device="cuda", dtype=torch.bfloat16).select(-1, 0)
    call = Call((query, query, query, None, True), {})
    for _ in range(3):
        with pytest.raises(Unjudgeable, match="refuses these arguments"):
            run_reference(aten._scaled_dot_product_cudnn_attention.default, call)
