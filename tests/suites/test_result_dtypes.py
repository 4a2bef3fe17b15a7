"""Dtypes of results that no argument has."""

from __future__ import annotations

import pytest
import torch

from backend_bench.submission import Device
from backend_bench.suites.result_dtypes import result_dtypes

ATEN = torch.ops.aten


@pytest.mark.parametrize(
    ("op", "texts", "device", "expected"),
    [
        (ATEN.native_layer_norm.default, ["((T([4, 8], bf16), [8], None, None, 1e-05), {})"], "cuda", ("bf16 -> bf16, f32, f32",)),
        (ATEN.native_layer_norm.default, ["((T([4, 8], bf16), [8], None, None, 1e-05), {})"], "cpu", ()),
        (ATEN.max.dim, ["((T([4, 8], f16), 1), {})", "((T([4], f32), 0), {})"], "cpu", ("f16 -> f16, i64", "f32 -> f32, i64")),
        (ATEN.where.self, ["((T([8], b8), T([8], f16), T([8], f16)), {})"], "cpu", ()),
        (ATEN.sum.default, ["((T([8], i32),), {'dtype': f64})", "((T([8], f32),), {})"], "cpu", ()),
        (ATEN.rsub.Scalar, ["((T([8], i64), 0.5), {})", "((T([8], i64), 2), {})"], "cpu", ()),
        (ATEN.div.Tensor, ["((T([8], i64), T([8], i64)), {})"], "cpu", ("i64, i64 -> f32",)),
        (ATEN.nonzero.default, ["((T([8], f32),), {})"], "cpu", ()),  # nobody knows how many there are
    ],
)  # fmt: skip
def test_what_cannot_be_read_off_the_arguments_is_told(
    op: torch._ops.OpOverload, texts: list[str], device: Device, expected: tuple[str, ...]
) -> None:
    assert result_dtypes(op, texts, device) == expected
