"""Other forms of a call: the same values elsewhere in memory, more of them, a broadcast, another setting."""

from __future__ import annotations

import random

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.grading import settings
from backend_bench.grading.choices import arguments
from backend_bench.grading.dimensions import from_the_end, raised, turned
from backend_bench.grading.forms import (
    deeper,
    fewer,
    late,
    longer,
    poisoned,
    promoted,
    restrided,
    single,
    spread,
    wrapped,
)
from backend_bench.grading.inputs import tensors_of
from backend_bench.grading.settings import masked, renumbered, reset, turns, without
from backend_bench.grading.sizes import MANY
from backend_bench.grading.windows import lists, oblong, skipping, uneven

aten = torch.ops.aten


def rng() -> random.Random:
    return random.Random(0)


def test_other_strides_hold_the_same_values_and_none_is_contiguous() -> None:
    call = Call((torch.randn(1, 3, 4), torch.randint(3, (5,)), torch.rand(2, 2) > 0.5))
    varied = restrided(aten.where.self, call, rng())
    assert varied is not None
    for old, new in zip(tensors_of(call), tensors_of(varied), strict=True):
        assert torch.equal(old, new)
        assert not new.is_contiguous()


def test_what_lies_between_indices_is_an_index_too() -> None:
    varied = restrided(aten.index_select.default, Call((torch.randn(4), 0, torch.tensor([0, 3]))), rng())
    assert varied is not None
    index = tensors_of(varied)[1]
    assert set(index.as_strided((4,), (1,)).tolist()) <= {0, 3}


def test_arguments_that_share_memory_keep_their_form() -> None:
    base = torch.randn(4, 4)
    assert restrided(aten.add.Tensor, Call((base, base.t())), rng()) is None
    assert longer(aten.add.Tensor, Call((base, base[:1])), rng()) is None


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.int64])
@pytest.mark.parametrize("op", [aten.all.default, aten.any.default])
def test_what_one_element_decides_is_decided_by_what_lies_between(
    op: torch._ops.OpOverload, dtype: torch.dtype
) -> None:
    """Among 25 random elements one decides nearly always, and a kernel that read the wrong ones was right."""
    call = Call((torch.randint(2, (5, 5), generator=torch.Generator().manual_seed(1)).to(dtype),))
    varied = restrided(op, call, rng())
    assert varied is not None
    [x] = varied.args
    as_if_dense = torch.as_strided(x, x.shape, (5, 1))
    assert bool(op(x)) != bool(op(as_if_dense))
    other = restrided(op, call, rng(), turn=1)
    assert other is not None
    assert torch.equal(other.args[0], call.args[0])


def test_a_longer_call_has_results_that_no_block_holds_and_blocks_that_differ() -> None:
    call = Call((torch.randn(5, 7), [7], torch.randn(7), None, 1e-5))
    varied = longer(aten.native_layer_norm.default, call, rng())
    assert varied is not None
    x, weight = tensors_of(varied)
    assert x.numel() > MANY
    assert all((x == row).all(1).any() for row in call.args[0])
    assert len(x.unique(dim=0)) > 2 * 5
    assert torch.equal(weight, call.args[2])


def test_copies_have_no_period() -> None:
    """Every second element would be of one sign, and what a kernel adds up lane by lane would lose more than a sum of random terms does: the
    code that torch.compile writes was called wrong."""
    varied = deeper(aten.sum.dim_IntList, Call((torch.tensor([[5.0, -5.0]]), [1])), rng())
    assert varied is not None
    lanes = varied.args[0].flatten().view(-1, 2).sum(0)
    assert lanes.abs().max() < varied.args[0].abs().sum() / 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_a_longer_call_has_no_value_that_a_gpu_may_take_for_zero(dtype: torch.dtype) -> None:
    """An honest `ceil` in Triton was wrong on copies of the smallest normal number that had become smaller."""
    least = torch.finfo(dtype).smallest_normal
    values = torch.full((40, 20), least, dtype=dtype)
    varied = longer(aten.relu.default, Call((values,)), rng())
    assert varied is not None
    assert torch.equal(varied.args[0].abs(), torch.full_like(varied.args[0].abs(), least))


def test_nothing_grows_beyond_what_an_oracle_takes_milliseconds_for() -> None:
    varied = longer(aten.diag_embed.default, Call((torch.randn(40),)), rng())
    assert varied is None
    assert longer(aten.relu.default, Call((torch.randn(2000),)), rng()) is None


def test_a_broadcast_leaves_the_written_input_whole() -> None:
    call = Call((torch.randn(3, 4), torch.randn(4)))
    varied = spread(aten.add_.Tensor, call, rng())
    assert varied is not None
    written, other = tensors_of(varied)
    assert written.shape == (3, 4)
    assert other.shape == (3, 1)
    assert spread(aten.mm.default, Call((torch.randn(3, 3), torch.randn(3, 3))), rng()) is None


def test_a_setting_is_changed_to_another_of_its_kind_and_internal_operators_keep_theirs() -> None:
    call = Call((torch.randn(3), torch.randn(3)))
    assert settings.of(aten.add.Tensor) == ["alpha"]  # the other one is a tensor
    assert settings.of(aten.add.Scalar) == ["other", "alpha"]
    assert settings.of(aten.pow.Scalar) == ["self"]
    assert reset(aten.add.Tensor, call, rng(), name="other") is None
    varied = reset(aten.add.Tensor, call, rng(), name="alpha")
    assert varied is not None
    assert varied.kwargs["alpha"] == 0
    assert settings.of(aten._embedding_bag.default) == []


def test_each_turn_gives_another_value_of_a_setting() -> None:
    call = Call((torch.randn(9, 3), torch.randn(9, 3), 1))
    each = [
        reset(aten.mse_loss.default, call, rng(), turn, name="reduction")
        for turn in range(turns("reduction"))
    ]
    assert [varied and varied.args[2] for varied in each] == [0, None, 2]


def test_statistics_that_are_not_there_are_not_asked_for() -> None:
    values, each = torch.randn(2, 3, 4), torch.rand(3)
    with_them, without = (
        Call((values, None, None, *stats, True, 0.1, 1e-5)) for stats in ((each, each), (None, None))
    )
    changed = reset(aten.native_batch_norm.default, with_them, rng(), 1, name="training")
    assert changed is not None
    assert changed.args[5] is False
    assert reset(aten.native_batch_norm.default, without, rng(), 1, name="training") is None


def test_attention_looks_back_alone_only_where_that_means_one_thing() -> None:
    op = aten._scaled_dot_product_flash_attention_for_cpu.default
    heads = torch.randn(3, 1, 2, 4, 8)
    assert settings.of(op) == ["is_causal", "scale"]
    changed = reset(op, Call((*heads,)), rng(), name="is_causal")
    assert changed is not None
    assert arguments(op, changed)["is_causal"] is True
    assert reset(op, Call((*heads,), {"attn_mask": torch.zeros(4, 4)}), rng(), name="is_causal") is None
    assert reset(op, Call((heads[0][..., :3, :], *heads[1:])), rng(), name="is_causal") is None


def test_data_and_ends_get_numbers_that_nobody_knows() -> None:
    found = {
        renumbered(
            aten.full_like.default, Call((torch.zeros(2, dtype=torch.int64), 31)), random.Random(seed)
        ).args[1]
        for seed in range(9)
    }
    assert len(found) > 5
    assert all(type(number) is int for number in found)
    moved = renumbered(aten.arange.start_step, Call((0, 56, 2), {"dtype": torch.float32}), rng(), 1)
    assert moved is not None
    assert moved.args[0] != 0
    assert moved.args[1] - moved.args[0] == pytest.approx(56)
    assert (
        renumbered(aten.bitwise_left_shift.Tensor_Scalar, Call((torch.ones(2, dtype=torch.int32), 1)), rng())
        is None
    )
    as_tensor = renumbered(aten.div.Tensor_mode, Call((torch.randn(9), 2), {"rounding_mode": "floor"}), rng())
    assert as_tensor is not None
    assert as_tensor.args[1] > 32


def test_dimensions_counted_from_the_other_end_are_the_same_ones() -> None:
    op, x = aten.roll.default, torch.randn(2, 5, 7)
    varied = from_the_end(op, Call((x, [3, -3], [1, -1])), rng())
    assert varied is not None
    assert varied.args[1:] == ([8, 11], [-2, 2])
    assert torch.equal(op(*varied.args), torch.roll(x, [3, -3], [1, -1]))
    stacked = from_the_end(aten.stack.default, Call(([x, x], 1)), rng())
    assert stacked is not None
    assert stacked.args[1] == -3
    first = from_the_end(aten._softmax.default, Call((x, -1, False)), rng(), 1)
    assert first is not None
    assert first.args[1] == -3
    assert from_the_end(aten._cummax_helper.default, Call((x, x, x.long(), 1)), rng()) is None


def test_one_number_of_a_list_is_another_and_no_result_grows() -> None:
    image = torch.randn(1, 2, 8, 8)
    op, call = aten.max_pool2d_with_indices.default, Call((image, [3, 3], [2, 2], [1, 1]))
    assert lists(op) == ["kernel_size", "stride", "padding", "dilation"]
    for name, other in (("kernel_size", 2), ("stride", 1), ("padding", 0), ("dilation", 2)):
        varied = uneven(op, call, rng(), name=name)
        assert varied is not None
        assert other in arguments(op, varied)[name]
        assert len(set(arguments(op, varied)[name])) == 2
    one_size = uneven(aten.upsample_linear1d.default, Call((image[0], [8], False)), rng(), name="output_size")
    assert one_size is not None
    assert one_size.args[1] == [7]
    assert lists(aten.max_pool2d_with_indices_backward.default) == []


def test_an_image_is_not_square_and_a_window_skips_its_edge() -> None:
    call = Call((torch.randn(1, 2, 9, 9), [3, 3], [2, 2]))
    varied = oblong(aten.avg_pool2d.default, call, rng())
    assert varied is not None
    assert varied.args[0].shape == (1, 2, 9, 6)
    beyond = skipping(aten.avg_pool2d.default, call, rng(), 1)
    assert beyond is not None
    assert arguments(aten.avg_pool2d.default, beyond)["stride"] == [9, 2]
    assert aten.avg_pool2d.default(*beyond.args, **beyond.kwargs).shape == (1, 2, 1, 4)


def test_one_element_fewer_indices_and_one_gradient_fewer() -> None:
    alone = single(aten.add.Tensor, Call((torch.randn(3), torch.randn(2, 3))), rng())
    assert alone is not None
    assert [tensor.dim() for tensor in tensors_of(alone)] == [0, 0]
    index, source = torch.zeros(3, 4, dtype=torch.int64), torch.randn(3, 4)
    less = fewer(aten.scatter.src, Call((torch.zeros(3, 4), 1, index, source)), rng())
    assert less is not None
    assert less.args[2].shape == (2, 3)
    assert less.args[3].shape == (3, 4)
    mask = masked(
        aten.native_layer_norm_backward.default,
        Call((*[source] * 2, [4], source, source, None, None, [True, False, True])),
        rng(),
    )
    assert mask is not None
    assert arguments(aten.native_layer_norm_backward.default, mask)["output_mask"] == [True, False, False]


def test_what_is_too_large_to_be_had_several_times_is_cut() -> None:
    varied = raised(aten.any.dim, Call((torch.zeros(1, 1, 128, 4100, dtype=torch.bool), -1)), rng())
    assert varied is not None
    assert varied.args[0].shape == (3, 1, 1, 10, 4100)
    assert varied.args[1] == 4


def test_what_beta_of_zero_leaves_out_is_nan() -> None:
    call = Call((torch.randn(3, 3), torch.randn(3, 4), torch.randn(4, 3)))
    varied = reset(aten.addmm.default, call, rng(), name="beta")
    assert varied is not None
    assert varied.kwargs["beta"] == 0
    assert bool(varied.args[0].isnan().all())
    assert bool(aten.addmm.default(*varied.args, **varied.kwargs).isfinite().all())


def test_a_call_is_turned_in_all_its_tensors_of_one_rank() -> None:
    index = torch.tensor([[0, 4, 1], [2, 3, 0]])
    call = Call((torch.randn(2, 5), -1, index))
    varied = turned(aten.gather.default, call, rng())
    assert varied is not None
    assert varied.args[1] == 0
    assert torch.equal(aten.gather.default(*varied.args).t(), aten.gather.default(*call.args))
    along = Call((torch.randn(3, 4), 0, torch.tensor([2, 1])))
    selected = turned(aten.index_select.default, along, rng())
    assert selected is not None
    assert torch.equal(aten.index_select(*selected.args).t(), aten.index_select(*along.args))


def test_what_may_be_left_out_is_left_out_in_turn() -> None:
    call = Call((torch.randn(3, 4), [4], torch.randn(4), torch.randn(4), 1e-5))
    left = [without(aten.native_layer_norm.default, call, rng(), turn) for turn in range(2)]
    assert [varied.args[2] is None for varied in left if varied] == [True, False]
    assert without(aten.mm.default, Call((torch.randn(3, 3), torch.randn(3, 3))), rng()) is None


def test_what_is_accumulated_meets_in_some_places() -> None:
    call = Call((torch.zeros(50), [torch.arange(20)], torch.ones(20)))
    varied = reset(aten.index_put.default, call, rng(), name="accumulate")
    assert varied is not None
    assert varied.args[3] is True
    assert len(varied.args[1][0].unique()) < 20


def test_no_form_has_more_results_than_a_worker_hands_over() -> None:
    assert deeper(aten.unbind_copy.int, Call((torch.randn(5, 5), -1)), rng()) is None
    assert deeper(aten.split.Tensor, Call((torch.randn(5, 5), 1, 1)), rng()) is None


def test_a_deeper_call_is_longer_where_the_operator_works_along() -> None:
    varied = deeper(aten.cumsum.default, Call((torch.randn(3, 4, 5), 1)), rng())
    assert varied is not None
    assert varied.args[0].shape[0::2] == (3, 5)
    assert varied.args[0].shape[1] > MANY
    assert varied.args[0].is_contiguous()


@pytest.mark.parametrize(
    ("op", "call"),
    [
        (aten.any.dim, Call((torch.rand(3, 5) > 0.5, 1))),
        (aten.any.default, Call((torch.rand(3, 5) > 0.5,))),
        (aten.all.dims, Call((torch.rand(3, 5) > 0.5, [0, 1]))),
        (aten.argmax.default, Call((torch.randint(9, (4, 4)), 1))),
        (aten.amin.default, Call((torch.randn(7),))),
    ],
    ids=["any.dim", "any", "all.dims", "argmax", "amin"],
)
def test_the_end_of_a_long_line_decides_in_one_turn_or_the_other(
    op: torch._ops.OpOverload, call: Call
) -> None:
    seen = []
    for each in range(2):
        varied = late(op, call, rng(), each)
        assert varied is not None
        line = varied.args[0]
        assert line.numel() > MANY
        head = line[..., : line.shape[-1] // 8] if line.shape[-1] > MANY else line[: len(line) // 8]
        shown = op(head, *call.args[1:])
        seen.append(bool((shown != op(*varied.args)).any()) if shown.numel() else True)
    assert any(seen)


def test_a_product_and_what_works_element_by_element_have_no_end() -> None:
    assert late(aten.mm.default, Call((torch.randn(3, 3), torch.randn(3, 3))), rng()) is None
    assert late(aten.relu.default, Call((torch.randn(3, 3),)), rng()) is None


def test_factors_of_a_product_grow_together() -> None:
    varied = deeper(aten.mm.default, Call((torch.randn(3, 4), torch.randn(4, 2))), rng())
    assert varied is not None
    one, other = tensors_of(varied)
    assert one.shape[1] == other.shape[0] > MANY
    assert aten.mm.default(one, other).shape == (3, 2)


def test_a_second_dtype_comes_in_and_what_is_written_keeps_its_own() -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    turns = [promoted(aten.add.Tensor, Call((x, y)), rng(), turn) for turn in range(2)]
    dtypes = [[each.dtype for each in tensors_of(varied)] for varied in turns if varied]
    assert dtypes == [[torch.float32, torch.int64], [torch.float16, torch.float32]]
    written = promoted(aten.add_.Tensor, Call((x, y)), rng(), 1)
    assert written is not None
    assert [each.dtype for each in tensors_of(written)] == [torch.float32, torch.float16]
    assert promoted(aten.mm.default, Call((x, y.t())), rng()) is None


def test_indices_from_the_end_name_the_same_places() -> None:
    x = torch.randn(4, 5)
    call = Call((x, [None, torch.tensor([[0, 4], [2, 3]])]))
    varied = wrapped(aten.index.Tensor, call, rng())
    assert varied is not None
    assert bool((varied.args[1][1] < 0).any())
    assert torch.equal(aten.index.Tensor(*varied.args), aten.index.Tensor(*call.args))
    masked = Call((x, [torch.rand(4) > 0.5]))
    assert wrapped(aten.index.Tensor, masked, rng()) is None


def test_indices_that_count_from_the_end_already_stay() -> None:
    call = Call((torch.randn(9), torch.tensor([-9, -1, 8, 0, -5, 3, 7])))
    varied = wrapped(aten.take.default, call, rng())
    assert varied is not None
    assert torch.equal(aten.take.default(*varied.args), aten.take.default(*call.args))


def test_what_names_places_keeps_its_dim() -> None:
    """There are fewer of them elsewhere, and a GPU's context does not survive an index out of bounds."""
    chosen = Call((torch.randn(3, 9), 1, torch.tensor([8])))
    assert reset(aten.index_select.default, chosen, rng(), name="dim") is None
    summed = reset(aten.cumsum.default, Call((torch.randn(3, 9), 1)), rng(), name="dim")
    assert summed is not None
    assert summed.args[1] == 0


def test_scales_grow_and_never_shrink() -> None:
    """ATen reads beyond its input at a smaller one."""
    call = Call((torch.randn(1, 1, 4, 4), [32, 32], 8.0, 8.0))
    scaled = [
        reset(aten.upsample_nearest2d.default, call, random.Random(0), turn, name="scales_h")
        for turn in (0, 1)
    ]
    assert [each and arguments(aten.upsample_nearest2d.default, each)["scales_h"] for each in scaled] == [
        None,
        16.0,
    ]


def test_an_internal_operator_whose_sizes_fit_no_longer_has_no_such_form() -> None:
    """ATen writes as many norms as its last dimension has, wherever there is room for them."""
    call = Call((torch.randn(64, 32), torch.randn(1, 32), 1))
    for form in (raised, turned, longer):
        assert form(aten._weight_norm_interface.default, call, rng()) is None


def test_nan_is_in_the_first_tensor_and_in_the_last() -> None:
    call = Call((torch.randn(3, 4), 1, torch.zeros(3, 4, dtype=torch.int64), torch.randn(3, 4)))
    found = [poisoned(aten.scatter_add.default, call, rng(), turn) for turn in range(2)]
    assert [each and [int(tensor.isnan().sum()) for tensor in tensors_of(each)] for each in found] == [
        [1, 0, 0],
        [0, 0, 1],
    ]
    assert poisoned(aten.topk.default, Call((torch.randn(9), 2)), rng()) is None


@pytest.mark.parametrize("scales", [(2.0, 2.0), (2.0, None), (1.5, 2.5)])
def test_a_scaled_image_is_never_larger_than_its_scales_make_it(
    scales: tuple[float | None, float | None],
) -> None:
    """A GPU's kernels read behind their input then."""
    op = aten.upsample_bilinear2d.default
    for height, width in ((8, 8), (8, 5), (5, 8)):
        sizes = [int(size * (scale or 3)) for size, scale in zip((height, width), scales, strict=True)]
        call = Call((torch.randn(1, 2, height, width), sizes, False, *scales), {})
        made = [oblong(op, call, random.Random(seed)) for seed in range(4)]
        made += [uneven(op, call, random.Random(seed), name="output_size") for seed in range(4)]
        for varied in filter(None, made):
            image, size = varied.args[:2]
            for dim, scale in enumerate(scales):
                assert scale is None or size[dim] <= image.shape[2 + dim] * scale
