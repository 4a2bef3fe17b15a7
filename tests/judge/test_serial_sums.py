"""An honest kernel may add up one term after the other, and is right on every draw that the judge makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from backend_bench.grading import oracle
from backend_bench.judge.correctness import draw_all, expectation_of
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite, resolve
from tests.grading.kernels import summed_in_order
from tests.grading.wall import judge_against

aten = torch.ops.aten


def _sum(x: Tensor, dims: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    x = x.to(dtype or (x.dtype if x.is_floating_point() else torch.int64))
    chosen = sorted({dim % x.dim() for dim in dims or range(x.dim())}) if x.dim() else []
    rest = [dim for dim in range(x.dim()) if dim not in chosen]
    lines = x.permute(*rest, *chosen) if x.dim() else x
    total = summed_in_order(lines.reshape(*(x.shape[dim] for dim in rest), -1 if x.numel() else 0), x.dtype)
    return (
        total.reshape([1 if dim in chosen else size for dim, size in enumerate(x.shape)])
        if keepdim
        else total
    )


def _softmax(x: Tensor, dim: int, _: bool) -> Tensor:
    if not x.dim() or not x.numel():
        return torch.ones_like(x)
    powers = (x - x.amax(dim, keepdim=True)).exp()
    return powers / summed_in_order(powers.movedim(dim, -1), x.dtype).unsqueeze(dim)


def _layer_norm(x: Tensor, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    lines = x.flatten(x.dim() - len(shape))
    mean = (summed_in_order(lines, x.dtype) / lines.shape[-1]).unsqueeze(-1)
    rest = lines - mean
    rstd = 1 / torch.sqrt((summed_in_order(rest * rest, x.dtype) / lines.shape[-1]).unsqueeze(-1) + eps)
    result = (rest * rstd).reshape(x.shape)
    result = result if weight is None else result * weight
    kept = aten.native_layer_norm(x, shape, weight, bias, eps)[1].shape
    return result if bias is None else result + bias, mean.reshape(kept).clone(), rstd.reshape(kept).clone()


@pytest.mark.parametrize(
    ("name", "kernel", "seeds"),
    # seeds whose draws have few values, a large exponential or a mean near zero, and some others
    [
        ("sum.dim_IntList", _sum, (95041, 150474, 197988, 229664, 1, 2)),
        ("_softmax.default", _softmax, (79203, 221745, 1, 2)),
        ("native_layer_norm.default", _layer_norm, (150474, 1, 2)),
    ],
)
def test_a_sum_one_by_one_is_right_on_every_draw(
    name: str, kernel: Callable[..., Any], seeds: tuple[int, ...]
) -> None:
    op = Operator.parse(name)
    overload = resolve(op)
    suite = open_suite(SuiteSpec(name="smoke", device="cpu", dtype="float32"))
    wrong = []
    for seed in seeds:
        for attempt in draw_all(suite, op, overload, 20, seed=seed, profile="strict"):
            try:
                expectation = expectation_of(overload, attempt, "strict")
            except oracle.Unjudgeable:
                continue
            if expectation is None:
                continue
            finding = judge_against(expectation, attempt.call, kernel)
            if not finding.passed:
                wrong.append((seed, attempt.purpose, finding.message))
    assert not wrong
