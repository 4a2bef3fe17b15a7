"""Spikes: a part of a long line does not stand for the whole."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.spikes import spike, spiked

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("op", "rest", "of_a_part", "dtype"),
    [
        (
            aten.linalg_vector_norm.default,
            (),
            lambda x, n: x.flatten()[::n].norm() * math.sqrt(n),
            torch.bfloat16,
        ),
        (
            aten.linalg_vector_norm.default,
            (1,),
            lambda x, n: x.flatten()[::n].abs().sum() * n,
            torch.bfloat16,
        ),
        (aten.var.correction, (), lambda x, n: x.flatten()[::n].var(), torch.float16),
        (aten.sum.default, (), lambda x, n: x.flatten()[::n].sum() * n, torch.bfloat16),
    ],
    ids=["norm", "norm of power 1", "var", "sum"],
)
@pytest.mark.parametrize("part", [2, 8])
def test_a_part_does_not_stand_for_the_whole(
    op: torch._ops.OpOverload, rest: tuple[int, ...], of_a_part: Callable[[Tensor, int], Tensor], dtype: torch.dtype,
    part: int,
) -> None:  # fmt: skip
    torch.manual_seed(0)
    told = 0
    for seed in range(30):
        x = torch.rand(512, 512).to(dtype)
        exact = float(op(x.double(), *rest))
        assert abs(float(of_a_part(x.double(), part)) / exact - 1) < 0.02
        assert spike(op, Call((x, *rest)), random.Random(seed))
        assert x.isfinite().all()
        told += abs(float(of_a_part(x.double(), part)) / float(op(x.double(), *rest)) - 1) > 0.02
    assert told >= 28


def test_every_large_tensor_has_its_turn() -> None:
    pair = torch.zeros(16, 16), torch.zeros(16, 16)
    seen = set()
    for seed in range(20):
        call = Call(tuple(tensor + 1 for tensor in pair))
        assert spike(aten.mse_loss.default, call, random.Random(seed))
        seen.add(tuple(bool((tensor != 1).any()) for tensor in call.args))
    assert seen == {(True, False), (False, True)}


def test_spikes_are_where_something_is_summed_up_and_in_range() -> None:
    rng = random.Random(0)
    many = torch.randn(16, 16)
    assert spiked(aten.mul.Tensor, Call((many, many)), rng) is None
    assert spiked(aten.sum.default, Call((torch.randn(9),)), rng) is None
    assert spiked(aten.sum.default, Call((torch.ones(256, dtype=torch.int64),)), rng) is None
    assert spiked(aten.sum.default, Call((torch.randn(1).expand(256),)), rng) is None
    assert spiked(aten.linalg_vector_norm.default, Call((many, 12)), rng) is None  # no number of float32
    before = (100 * torch.randn(16, 16)).half()
    varied = spiked(aten.var.correction, Call((before,)), rng)
    assert varied is not None
    changed = varied.args[0][varied.args[0] != before]
    assert 1 <= changed.numel() <= 8
    assert changed.abs().max() <= 200  # its square is a number
