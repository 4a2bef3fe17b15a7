"""Drawn tensors have the layout asked for, and values on which kernels can go wrong."""

from __future__ import annotations

import itertools

import pytest
import torch

from backend_bench.suites import values as drawing
from backend_bench.suites.arguments import TensorSpec, parse
from backend_bench.suites.calls import describe, dtype_of, snapshot, spec_of, tensors_of
from backend_bench.suites.values import Bounds, below, draw_call, draw_calls, draw_tensor, seed_of


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("code", ["f32", "f16", "bf16", "f64", "c64", "i8", "u8", "i32", "i64", "b8"])
@pytest.mark.parametrize("stride", [None, (1, 4), (0, 1), (20, 2)])
def test_a_tensor_is_as_its_spec_says(code, stride):
    spec = TensorSpec((4, 7), code, stride)
    assert spec_of(draw_tensor(spec, generator())) == spec


def test_floating_values_are_signed_and_of_several_scales():
    values = draw_tensor(TensorSpec((1000,), "f32"), generator())
    assert (values < 0).sum() > 300
    assert (values.abs() < 0.01).any()
    assert (values.abs() > 8).any()
    assert values.isfinite().all()


def test_whole_numbers_are_signed_where_they_can_be():
    assert (draw_tensor(TensorSpec((100,), "i32"), generator()) < 0).any()
    assert (draw_tensor(TensorSpec((100,), "u8"), generator()) >= 0).all()


def test_indices_stay_below_their_limit():
    call = draw_call(parse("((T([5, 3], f32), 0, T([1000], i64)), {})"), "cpu", 1, {1: below(5)})
    assert call.args[2].unique().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("bounds", "low", "high"), [(Bounds(3, 4), 3, 4), (Bounds(low=5), 5, 105), (Bounds(high=-5), -105, -5)]
)
@pytest.mark.parametrize("dtype", ["f32", "i32", "bf16"])
def test_values_lie_within_their_bounds(bounds, low, high, dtype):
    values = draw_tensor(TensorSpec((300,), dtype), generator(), bounds)
    assert low <= values.min() <= values.max() <= high
    assert values.unique().numel() > 1


def test_zero_is_left_out_where_it_is_not_allowed():
    for dtype in ("i8", "b8", "f32"):
        assert (draw_tensor(TensorSpec((1000,), dtype), generator(), Bounds(zero=False)) != 0).all()


def test_a_seed_may_be_anything_and_fits_torch():
    assert 0 <= seed_of("secret", 3, "add.Tensor") < 2**63
    assert seed_of(1, 23) != seed_of(12, 3)


def test_a_copy_keeps_strides_and_sharing_and_nothing_else():
    base = torch.arange(12.0)
    call = draw_call(parse("((), {})"), "cpu", 0)
    call = type(call)((base[1:9:2], [base.reshape(3, 4).T]), {"out": base})
    copy = snapshot(call)
    first, [second], third = copy.args[0], copy.args[1], copy.kwargs["out"]
    assert first.stride() == (2,)
    assert second.stride() == (1, 4)
    third.fill_(7)
    assert first.eq(7).all()
    assert second.eq(7).all()
    assert base.eq(torch.arange(12.0)).all()


def test_every_code_is_a_dtype_of_torch():
    assert dtype_of("bf16") is torch.bfloat16
    assert dtype_of("f8e4m3fn") is torch.float8_e4m3fn


@pytest.mark.parametrize("at_once", [drawing.AT_ONCE, 0])
def test_calls_that_are_drawn_together_differ_and_share_no_memory(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(drawing, "AT_ONCE", at_once)
    text = "((T([5, 3], f16), [T([4, 2], f32, [1, 8]), T([], i64)], T([7], u16), 2), {})"
    calls = draw_calls(parse(text), "cpu", 1, 4, {2: below(5)})
    assert [describe(call) for call in calls] == [text] * 4
    for first, second in itertools.combinations(calls, 2):
        assert not torch.equal(first.args[0], second.args[0])
        assert not torch.equal(first.args[1][0], second.args[1][0])
    tensors = [each for call in calls for each in tensors_of(call)]
    assert len({each.untyped_storage().data_ptr() for each in tensors}) == len(tensors)
    assert all(0 <= int(call.args[1][1]) < 5 for call in calls)
    again = draw_calls(parse(text), "cpu", 1, 4, {2: below(5)})
    assert all(torch.equal(one.args[0], other.args[0]) for one, other in zip(calls, again, strict=True))
