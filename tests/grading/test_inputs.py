"""Draws: copies that are true to memory, and changes that stay in their place."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch._ops import OpOverload

from backend_bench.cases import Call
from backend_bench.grading.inputs import (
    clone_call,
    edges,
    kept_normal,
    meet,
    nudged,
    overlaps_itself,
    scaled,
    storage_of,
    tensors_of,
)

aten = torch.ops.aten


def test_leaves_come_in_order_of_arguments_and_then_of_names() -> None:
    a, b, c, d = (torch.full((), float(n)) for n in range(4))
    call = Call((a, [b, (c,)], 3), {"z": None, "out": d})
    assert [float(tensor) for tensor in tensors_of(call)] == [0.0, 1.0, 2.0, 3.0]


def test_a_copy_keeps_strides_offsets_and_expanded_dimensions() -> None:
    base = torch.arange(60.0).view(6, 10)
    views = (base.t()[2:7:2], base[:, 3:], base[0].expand(4, 10), base.flip(0))
    copy = clone_call(Call(views))
    for old, new in zip(views, tensors_of(copy), strict=True):
        assert torch.equal(old, new)
        assert old.stride() == new.stride()
        assert storage_of(old) != storage_of(new)


def test_a_copy_keeps_storage_shared_between_arguments() -> None:
    base = torch.arange(10.0)
    one, other = tensors_of(clone_call(Call((base[:6], base[4:], base))))[:2]
    one[5] = 99.0
    assert other[1] == 99.0
    assert base[5] == 5.0


def test_a_copy_of_a_small_view_does_not_copy_the_large_storage() -> None:
    view = torch.zeros(100_000)[5:9]
    (copy,) = tensors_of(clone_call(Call((view,))))
    assert copy.untyped_storage().nbytes() < 100


def test_mixed_widths_in_one_storage_keep_their_offsets() -> None:
    base = torch.arange(32, dtype=torch.uint8)
    wide = base[8:24].view(torch.float64)
    bytes_, numbers = tensors_of(clone_call(Call((base[3:9], wide))))
    assert torch.equal(bytes_, base[3:9])
    assert torch.equal(numbers.view(torch.uint8), wide.view(torch.uint8))


def test_empty_scalar_and_complex_tensors_are_copied() -> None:
    tensors = (torch.empty(0, 3), torch.tensor(2.0), torch.randn(3, dtype=torch.complex64).conj())
    copies = tensors_of(clone_call(Call(tensors)))
    assert all(torch.equal(old, new) for old, new in zip(tensors, copies, strict=True))


def test_nudged_changes_a_few_elements_and_neither_head_nor_tail_nor_sum() -> None:
    x = torch.randn(64, 64, dtype=torch.float64)
    (other,) = tensors_of(nudged(aten.relu.default, Call((x,)), random.Random(1)))
    changed = (x != other).flatten()
    assert 2 <= int(changed.sum()) <= 6
    assert not changed[:256].any()
    assert not changed[-256:].any()
    assert math.isclose(float(x.sum()), float(other.sum()), abs_tol=1e-9)


def test_nudged_leaves_indices_and_structured_matrices_alone() -> None:
    index = torch.arange(20)
    other = nudged(aten.index_select.default, Call((torch.randn(20, 3), 0, index)), random.Random(1))
    assert torch.equal(tensors_of(other)[1], index)
    matrix = torch.eye(9)
    same = nudged(aten.linalg_cholesky_ex.default, Call((matrix,)), random.Random(1))
    assert torch.equal(tensors_of(same)[0], matrix)


def test_the_same_seed_draws_the_same() -> None:
    call = Call((torch.randn(50),))
    one, two = (edges(aten.relu.default, call, random.Random(3)) for _ in range(2))
    assert one is not None
    assert two is not None
    assert torch.equal(tensors_of(one)[0].nan_to_num(), tensors_of(two)[0].nan_to_num())


def test_edges_touch_one_floating_input_and_leave_most_of_it() -> None:
    call = Call((torch.ones(100) * 7, torch.ones(100) * 7))
    varied = edges(aten.add.Tensor, call, random.Random(3))
    assert varied is not None
    touched = [int((tensor != 7).sum()) for tensor in tensors_of(varied)]
    assert min(touched) == 0
    assert 5 <= max(touched) <= 20


def test_edges_never_touch_masks_indices_or_unknown_operators() -> None:
    rng = random.Random(0)
    assert edges(aten.bincount.default, Call((torch.arange(9),)), rng) is None
    call = Call((torch.rand(9) > 0.5, torch.rand(9) > 0.5))
    assert edges(aten.logical_and.default, call, rng) is None
    assert edges(aten.linalg_cholesky_ex.default, Call((torch.eye(4),)), rng) is None
    integers = Call((torch.arange(9), torch.arange(9) + 1))
    assert edges(aten.remainder.Tensor, integers, rng) is None


def test_scaled_stays_in_the_domain() -> None:
    rng = random.Random(0)
    assert scaled(aten.acos.default, Call((torch.rand(9),)), rng) is None
    varied = scaled(aten.mm.default, Call((torch.ones(3, 3), torch.ones(3, 3))), rng)
    assert varied is not None
    assert float(tensors_of(varied)[0][0, 0]) in (30.0, float(torch.tensor(1e-3)))


@pytest.mark.parametrize(
    ("op", "sign"),
    [(aten.max.dim, -1), (aten.argmax.default, -1), (aten.cummax.default, -1), (aten.argmin.default, 1),
     (aten.cummin.default, 1)],
)  # fmt: skip
def test_what_looks_for_one_end_meets_values_on_the_other_side_of_zero(op: OpOverload, sign: int) -> None:
    """Else a kernel that begins at zero is right on nearly every long line."""
    varied = scaled(op, Call((torch.randn(100), 0)), random.Random(0))
    assert varied is not None
    assert (sign * varied.args[0] >= 0).all()


def test_overlap_is_seen_in_expanded_and_unfolded_tensors() -> None:
    x = torch.arange(40.0)
    assert overlaps_itself(x[:4].expand(3, 4))
    assert overlaps_itself(x.unfold(0, 4, 1))
    assert overlaps_itself(x.as_strided((5, 6, 2), (1, 1, 7)))
    assert not any(map(overlaps_itself, (x, x[::3], x.view(4, 10).t(), x.unfold(0, 4, 4), x[:0], x[0])))


def test_memory_that_overlaps_itself_is_not_scaled_twice() -> None:
    overlapping = torch.ones(40).as_strided((5, 6, 2), (1, 1, 7))
    assert scaled(aten.tanh.default, Call((overlapping,)), random.Random(0)) is None


def test_edges_let_indices_name_a_place_twice() -> None:
    call = Call((torch.zeros(9), 0, torch.randperm(9), torch.rand(9)))
    varied = edges(aten.scatter_add.default, call, random.Random(0))
    assert varied is not None
    index = tensors_of(varied)[1]
    assert len(set(index.tolist())) < 9
    assert set(index.tolist()) <= set(range(9))


def test_edges_for_any_are_few_ones_few_zeros_or_values_that_cancel_out() -> None:
    rng = random.Random(0)
    drawn = []
    for _ in range(30):
        varied = edges(aten.any.dim, Call((torch.rand(10, 5) + 1, 1)), rng)
        assert varied is not None
        drawn.append(tensors_of(varied)[0])
    assert any(not bool(x.any(1).all()) and bool(x.any()) for x in drawn), "one constant would do"
    assert any(bool(x.all(1).any()) and not bool(x.all()) for x in drawn), "one constant would do for all"
    assert any(bool((x.any(1) & (x.sum(1).abs() < 1e-6)).any()) for x in drawn), "a sum would do"


def test_edges_for_a_comparison_hold_equal_values_and_neighbours() -> None:
    rng = random.Random(1)
    met = []
    for _ in range(20):
        varied = edges(aten.le.Tensor, Call((torch.randn(40), torch.randn(40))), rng)
        assert varied is not None
        one, other = tensors_of(varied)
        met.append((int((one == other).sum()), int(((one != other) & ((one - other).abs() < 1e-5)).sum())))
    assert any(equal > 5 and beside > 5 for equal, beside in met)


def test_edges_for_an_order_hold_values_that_less_precision_takes_for_one() -> None:
    rng = random.Random(2)
    for _ in range(40):
        varied = edges(aten.argmax.default, Call((torch.randn(60),)), rng)
        assert varied is not None
        (drawn,) = tensors_of(varied)
        largest = drawn[drawn > 0.999 * drawn.max()]
        if len(largest.unique()) > 1 and len(largest.half().unique()) == 1:
            return
    raise AssertionError("no two values near the largest")


def test_edges_meet_nan_in_a_small_tensor_too() -> None:
    for seed in range(9):
        varied = edges(aten.clamp.default, Call((torch.randn(3, 3), -1, 1)), random.Random(seed))
        assert varied is not None
        assert bool(tensors_of(varied)[0].isnan().any())


def test_what_lies_a_step_beside_zero_is_no_subnormal() -> None:
    call = Call((torch.ones(4000), 0.0))
    meet(aten.eq.Scalar, call, random.Random(1))
    sizes = set(call.args[0].abs().tolist())
    assert sizes == {0.0, 1.0, torch.finfo(torch.float32).smallest_normal}


def test_half_precision_keeps_its_subnormals() -> None:
    half = torch.tensor([6e-8, 1.0, 0.0], dtype=torch.float16)
    assert torch.equal(kept_normal(half, torch.ones_like(half)), half)
    assert kept_normal(torch.tensor([1e-39, 2.0, 0.0]), torch.ones(3)).tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(("op", "dims"), [(aten.all.dims, [1, 3]), (aten.any.dims, [0, -1])])
def test_few_zeros_among_ones_are_few(op: OpOverload, dims: list[int]) -> None:
    """Of twelve elements half were zeros at least, so that hardly a line of four had none."""
    seen = set()
    for seed in range(40):
        call = Call((torch.randn(3, 2, 1, 2), dims, True), {})
        varied = edges(op, call, random.Random(seed))
        assert varied is not None
        seen.add(int((varied.args[0] == 0).sum()))
        if op(*varied.args).unique().numel() == 2:
            seen.add(-1)
    assert min(seen - {-1}) <= 2
    assert max(seen) >= 10
    assert -1 in seen
