"""Other forms of a call: the same values elsewhere in memory, more of them, a broadcast, another setting."""

from __future__ import annotations

import random

import torch

from backend_bench.cases import Call
from backend_bench.grading.forms import MANY, longer, reset, restrided, settings, spread
from backend_bench.grading.inputs import tensors_of

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


def test_a_longer_call_has_results_that_no_block_holds_and_blocks_that_differ() -> None:
    call = Call((torch.randn(5, 7), [7], torch.randn(7), None, 1e-5))
    varied = longer(aten.native_layer_norm.default, call, rng())
    assert varied is not None
    x, weight = tensors_of(varied)
    assert x.numel() > MANY
    assert torch.equal(x[:5], call.args[0])
    assert not torch.equal(x[:5], x[5:10])
    assert torch.equal(weight, call.args[2])


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
    assert settings(aten.add.Tensor) == ["other", "alpha"]
    assert reset(aten.add.Tensor, call, rng(), "other") is None
    varied = reset(aten.add.Tensor, call, rng(), "alpha")
    assert varied is not None
    assert varied.kwargs["alpha"] in (2, -3)
    assert settings(aten._softmax.default) == []
