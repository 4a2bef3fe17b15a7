"""How wide is wide enough, and not wider."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.forms import settle
from backend_bench.grading.oracle import admissible, expect
from backend_bench.grading.tolerance import typical_size, with_own_error
from tests.grading.kernels import summed_in_order, tf32
from tests.grading.wall import judge

aten = torch.ops.aten


def allowance(op: Any, call: Call) -> Tensor:
    found = expect(op, call).outputs[0].allowance
    assert found is not None
    return found


def test_a_small_output_is_not_swallowed_by_an_absolute_tolerance() -> None:
    x = torch.full((4,), 1e-6)
    assert float(allowance(aten.mul.Tensor, Call((x, x))).max()) < 1e-16


def test_a_cancelled_sum_is_judged_by_its_terms() -> None:
    torch.manual_seed(0)
    a = torch.randn(1000).bfloat16()
    near = a * (1 + 2**-7)
    call = Call((a, near), {"alpha": -1.03})
    assert judge(aten.add.Tensor, call, lambda a, b, alpha: a + (alpha * b)).passed
    assert not judge(aten.add.Tensor, call, lambda a, b, alpha: torch.zeros_like(a)).passed


@pytest.mark.parametrize("length", [64, 1024, 8192])
def test_long_products_tell_float32_from_tf32(length: int) -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(4, length), torch.randn(length, 4)))
    assert judge(aten.mm.default, call, lambda a, b: a.flip(1) @ b.flip(0)).passed
    assert not judge(aten.mm.default, call, lambda a, b: tf32(a) @ tf32(b)).passed


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_a_sum_one_by_one_in_float32_is_right_for_ten_thousand_terms(offset: float) -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(3, 10_000) + offset, [1]))

    def one_by_one(x: Tensor, dims: Any) -> Tensor:
        return x.cumsum(1, dtype=torch.float32)[:, -1].clone()

    assert judge(aten.sum.dim_IntList, call, one_by_one).passed


def test_short_accumulators_show_in_long_sums() -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(3, 4096).bfloat16() + 0.5, [1]))

    def short(x: Tensor, dims: Any) -> Tensor:
        total = torch.zeros(3, dtype=torch.bfloat16)
        for column in x.unbind(1):
            total = total + column
        return total

    assert not judge(aten.sum.dim_IntList, call, short).passed


def test_a_jump_admits_both_sides_and_nothing_between() -> None:
    a, b = torch.tensor([0.3]), torch.tensor([0.1])  # 3.0000000119 in float64 stays above 2 or 3
    call = Call((a, b), {"rounding_mode": "floor"})
    values = [judge(aten.div.Tensor_mode, call, lambda *_, v=v, **k: torch.full((1,), v)) for v in (2.5, 4.0)]
    assert not any(finding.passed for finding in values)
    assert judge(aten.div.Tensor_mode, call, aten.div.Tensor_mode).passed


def test_a_whole_number_beside_a_jump_is_no_excuse() -> None:
    call = Call((torch.arange(-3.0, 4.0),))
    assert not judge(aten.floor.default, call, lambda x: x - 1).passed


def test_dtype_bound_operators_never_ask_float64() -> None:
    x = torch.tensor([float("inf"), 1.0], dtype=torch.bfloat16)
    assert expect(aten.nan_to_num.default, Call((x,))).outputs[0].oracle is None
    expectation = expect(aten._to_copy.default, Call((torch.randn(5),), {"dtype": torch.bfloat16}))
    assert expectation.outputs[0].oracle is None


def test_a_dtype_argument_is_raised_with_the_inputs() -> None:
    call = Call((torch.arange(9), [0]), {"dtype": torch.float32})
    oracle = expect(aten.mean.dim, call).outputs[0].oracle
    assert oracle is not None
    assert oracle.dtype is torch.float64
    assert expect(aten._softmax.default, Call((torch.randn(2, 3), 1, False))).outputs[0].oracle is not None


def test_integers_into_fractions_are_judged_as_fractions() -> None:
    a, b = torch.arange(1, 50), torch.arange(50, 99)
    assert judge(aten.div.Tensor, Call((a, b)), lambda a, b: a.float() * (1 / b.float())).passed
    assert not judge(aten.div.Tensor, Call((a, b)), lambda a, b: (a.half() / b.half()).float()).passed


def test_a_sum_of_whole_numbers_may_lose_the_small_beside_the_large() -> None:
    column = torch.tensor([2**24 + 1, 100, 87, 3, 120, 55]).repeat(192)
    call = Call((column[:, None].expand(-1, 3).contiguous(), [0]), {"dtype": torch.float32})

    def in_order(rows: Tensor, dims: Any, dtype: torch.dtype, *, every: int = 1) -> Tensor:
        total = torch.zeros(3)
        for row in rows[::every]:
            total = total + row
        return total

    assert judge(aten.sum.dim_IntList, call, in_order).passed
    assert not judge(aten.sum.dim_IntList, call, lambda *a, **k: in_order(*a, **k) - 2**20).passed


def test_what_is_lost_of_equal_terms_is_lost_each_time() -> None:
    torch.manual_seed(0)
    few = torch.rand(64, 5) + 0.5
    equal, different = Call((few.repeat(1, 231), [1])), Call((torch.rand(64, 1155) + 0.5, [1]))
    assert judge(aten.sum.dim_IntList, equal, lambda x, dims: summed_in_order(x)).passed
    nearly = [
        judge(aten.sum.dim_IntList, call, lambda x, _: x.sum(1) * 1.00001) for call in (equal, different)
    ]
    assert [finding.passed for finding in nearly] == [True, False]
    assert not judge(aten.sum.dim_IntList, equal, lambda x, dims: x[:, 1:].sum(1)).passed


def test_zeros_are_added_without_an_error() -> None:
    torch.manual_seed(0)
    line = torch.zeros(1, 4096)
    line[:, ::64] = torch.rand(64) + 0.5
    nearly = judge(aten.sum.dim_IntList, Call((line, [1])), lambda x, _: x.sum(1) * 1.00003)
    assert not nearly.passed


def test_a_large_exponential_may_swallow_those_below_half_a_step_and_no_others() -> None:
    torch.manual_seed(0)
    x = torch.cat((torch.full((3, 1), 17.5), torch.rand(3, 500) / 4 + 0.5, torch.rand(3, 500) / 4 + 4), 1)

    def softmax(x: Tensor, dim: int, _: bool, *, above: float = 0.0) -> Tensor:
        powers = (x - x.amax(dim, keepdim=True)).exp()
        return powers / summed_in_order(torch.where(powers > above, powers, 0.0)).unsqueeze(dim)

    def log_softmax(x: Tensor, dim: int, half: bool, *, above: float = 0.0) -> Tensor:
        shifted = x - x.amax(dim, keepdim=True)
        powers = shifted.exp()
        return shifted - summed_in_order(torch.where(powers > above, powers, 0.0)).unsqueeze(dim).log()

    for op, kernel in ((aten._softmax.default, softmax), (aten._log_softmax.default, log_softmax)):
        call = Call((x, 1, False))
        assert judge(op, call, kernel).passed
        assert not judge(op, call, lambda *args, kernel=kernel: kernel(*args, above=1e-5)).passed

    def logsumexp(x: Tensor, dims: list[int], *, above: float = 0.0) -> Tensor:
        return x[:, 1] - log_softmax(x, 1, False, above=above)[:, 1]

    assert judge(aten.logsumexp.default, Call((x, [1])), logsumexp).passed
    assert not judge(aten.logsumexp.default, Call((x, [1])), lambda *a: logsumexp(*a, above=1e-5)).passed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_steps_are_judged_by_where_they_lead_and_not_by_how_aten_gets_there(dtype: torch.dtype) -> None:
    def steps(start: float, end: float, count: int, *, dtype: torch.dtype) -> Tensor:
        step = torch.tensor((end - start) / (count - 1), dtype=torch.float32)
        return (start + step * torch.arange(count)).to(dtype)

    call = Call((-2.0, 1, 50), {"dtype": dtype})
    assert judge(aten.linspace.default, call, steps).passed
    assert judge(aten.linspace.default, call, aten.linspace.default).passed
    assert not judge(aten.linspace.default, call, lambda *a, dtype: steps(-2.0, 1.2, 50, dtype=dtype)).passed
    powers = Call((4.3, -3, 20, 10.0), {"dtype": dtype})
    assert judge(
        aten.logspace.default,
        powers,
        lambda a, b, n, base, *, dtype: (base ** steps(a, b, n, dtype=torch.float32)).to(dtype),
    ).passed
    assert not judge(
        aten.logspace.default,
        powers,
        lambda a, b, n, base, *, dtype: (base ** steps(a, b + 0.1, n, dtype=torch.float32)).to(dtype),
    ).passed


def test_a_decimal_place_takes_a_factor_that_is_rounded_itself() -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(500) * 10,), {"decimals": 3})

    def places(x: Tensor, *, decimals: int, rounded: Any = torch.round) -> Tensor:
        return rounded(x * 10**decimals) * 10**-decimals

    assert judge(aten.round.decimals, call, places).passed
    assert not judge(aten.round.decimals, call, lambda x, **k: places(x, rounded=torch.floor, **k)).passed
    assert not judge(aten.round.default, Call((call.args[0],)), lambda x: x.round() * (1 + 2**-22)).passed


def test_where_float64_overflows_on_the_way_aten_is_the_reference() -> None:
    table, error = torch.full((2,), 1e-3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    grown = torch.tensor([torch.inf, torch.nan], dtype=torch.float64)
    allowance, doubtful = with_own_error(table, grown, error)
    assert allowance.tolist() == table.tolist()
    assert doubtful.tolist() == [True, True]


def test_what_may_lie_beyond_the_largest_number_may_be_infinite() -> None:
    near = torch.tensor([3.40282e38, -3.40282e38, 1.0])
    call = Call((near.view(3, 1).expand(3, 64).contiguous() / 64, [1]))
    assert judge(aten.sum.dim_IntList, call, lambda *_: torch.tensor([torch.inf, -torch.inf, 1.0])).passed
    for wrong in (-torch.inf, torch.nan, 3e38):
        assert not judge(
            aten.sum.dim_IntList, call, lambda *_, w=wrong: torch.tensor([w, -3.40282e38, 1.0])
        ).passed


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_strides_that_aten_reads_past_are_no_fault_of_a_kernel_that_does_not(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, gradient = torch.randn(2, 12, 5, 3).to(dtype), torch.randn(3, 5, 12, 2).to(dtype).permute(3, 2, 1, 0)
    weight = torch.randn(12).to(dtype)
    op = aten.native_group_norm_backward.default
    _, mean, rstd = aten.native_group_norm(x, weight, weight, 2, 12, 15, 4, 1e-5)
    call = Call((gradient, x, mean, rstd, weight, 2, 12, 15, 4, [True, True, True]))

    def honest(gradient: Tensor, *args: Any) -> Any:
        return op(gradient.contiguous(), *args)

    assert judge(op, call, honest).passed
    assert judge(op, call, op).passed  # what ATen itself gives is not held against anybody either
    assert not judge(op, call, lambda *args: honest(args[0] * 1.1, *args[1:])).passed


def test_a_product_that_overflows_half_way_in_some_order_is_no_fair_draw() -> None:
    factors = torch.full((4, 200), 3.0)
    factors[:, 100:] = 0.3
    loud = torch.cat((factors, factors.new_zeros(4, 1)), 1)
    for fair, call in (
        (False, Call((loud, 1))),
        (True, Call((loud[:, 60:], 1))),
        (True, Call((factors[:, :80], 1))),
    ):
        assert admissible(expect(aten.prod.dim_int, call)) is fair


def test_a_transform_is_judged_by_all_its_terms() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 64, dtype=torch.complex64) * 20
    places = torch.arange(64, dtype=torch.float64)
    factors = torch.exp(-2j * torch.pi * places[:, None] * places / 64).to(torch.complex64)
    call = Call((x, [1], 0, True))
    assert judge(aten._fft_c2c.default, call, lambda x, *_: x @ factors).passed
    assert not judge(aten._fft_c2c.default, call, lambda x, *_: x @ factors.conj()).passed
    assert not judge(aten._fft_c2c.default, call, lambda x, *_: (x @ factors) * 1.0001).passed


def test_a_sampler_may_reckon_its_places_in_another_order() -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(2, 3, 9, 9), torch.rand(2, 40, 40, 2) * 1.9 - 0.95, 0, 0, False))

    def sample(x: Tensor, grid: Tensor, *_: Any, shift: float = 0.0) -> Tensor:
        places = grid * (9 / 2) + (9 / 2 - 0.5) + shift
        low = places.floor()
        part = places - low
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
        column, row = (low[..., axis].long() + 1 for axis in (0, 1))
        image = torch.arange(2).view(2, 1, 1)

        def at(down: int, right: int) -> Tensor:
            return padded[image, :, row + down, column + right].permute(0, 3, 1, 2)

        across, down = part[..., 0].unsqueeze(1), part[..., 1].unsqueeze(1)
        upper = at(0, 0) * (1 - across) + at(0, 1) * across
        lower = at(1, 0) * (1 - across) + at(1, 1) * across
        return (upper * (1 - down) + lower * down).contiguous()

    assert judge(aten.grid_sampler_2d.default, call, sample).passed
    assert not judge(aten.grid_sampler_2d.default, call, lambda *a: sample(*a, shift=1e-4)).passed


def test_boundaries_are_in_order_in_whatever_form() -> None:
    torch.manual_seed(0)
    boundaries = torch.tensor([3.0, torch.nan, -1.0, 2.0])
    call = Call((torch.randn(5), boundaries))
    settle(aten.bucketize.Tensor, call)
    assert boundaries.tolist() == [-1.0, 0.0, 2.0, 3.0]
    sequence, sorter = torch.randn(2, 6), torch.zeros(2, 6, dtype=torch.int64)
    settle(aten.searchsorted.Tensor, Call((sequence, torch.randn(2, 3)), {"sorter": sorter}))
    assert torch.equal(sequence.gather(1, sorter), sequence.sort(1).values)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_windows_that_name_one_place_bring_one_value(dimensions: int) -> None:
    torch.manual_seed(0)
    sizes = (4,) * dimensions
    places = torch.randint(0, 2, (2, 3, *sizes))
    places[0, 0] = torch.arange(4**dimensions).view(sizes)
    values = torch.randn(2, 3, *sizes)
    alone = values[0, 0].clone()
    op = {2: aten.max_unpool2d.default, 3: aten.max_unpool3d.default}[dimensions]
    more = [] if dimensions == 2 else [[1, 1, 1], [0, 0, 0]]
    settle(op, Call((values, places, [4] * dimensions, *more)))
    assert torch.equal(values[0, 0], alone)
    for image in range(2):
        for channel in range(3):
            for place in places[image, channel].unique():
                assert values[image, channel][places[image, channel] == place].unique().numel() == 1


def test_attention_may_round_its_weights_to_the_short_dtype() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 64, 32).bfloat16() for _ in range(3))

    def flash(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> Any:
        scores = (q.float() @ k.float().mT) / 32**0.5
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        total = weights.sum(-1, keepdim=True)
        out = ((weights.bfloat16().float() @ v.float()) / total).bfloat16()
        return out, scores.bfloat16().float().logsumexp(-1)

    op = aten._scaled_dot_product_flash_attention_for_cpu.default
    call = Call((q, k, v))
    assert judge(op, call, flash).passed
    assert not judge(op, call, lambda q, k, v: flash(q, k * 1.1, v)).passed
    assert not judge(op, call, lambda q, k, v: flash(q * 0, k, v)).passed
    assert not judge(op, call, lambda q, k, v: (flash(q, k, v)[0], torch.zeros(1, 2, 64))).passed


def test_scatter_of_values_is_exact_and_of_sums_is_not() -> None:
    index, source = torch.tensor([[0, 1, 2]]), torch.randn(1, 3)
    x = torch.zeros(3, 3)
    assert expect(aten.scatter.src, Call((x, 0, index, source))).outputs[0].allowance is None
    call = Call((x, 0, index, source), {"reduce": "add"})
    assert expect(aten.scatter.reduce, call).outputs[0].allowance is not None


def test_the_typical_size_ignores_zeros_and_what_is_not_finite() -> None:
    values = torch.tensor([0.0, 0.0, 3.0, -3.0, float("inf"), float("nan")], dtype=torch.float64)
    assert typical_size(values, pointwise=True) == 3.0
    assert typical_size(values, pointwise=False) == 3.0


def test_a_difference_of_neighbours_is_judged_by_what_was_subtracted() -> None:
    x = torch.tensor([[7.0, 7.0 + 2**-16]])
    call = Call((x, [2], None, None, 1e-12))

    def two_pass(x: Tensor, shape: Any, weight: Any, bias: Any, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean = x.sum(1, keepdim=True) / 2
        rstd = 1 / ((x - mean).square().mean(1, keepdim=True) + eps).sqrt()
        return (x - mean) * rstd, mean, rstd

    assert judge(aten.native_layer_norm.default, call, two_pass).passed


def test_log1p_is_not_the_logarithm_of_one_more() -> None:
    call = Call((torch.rand(100) * 1e-2,))
    assert not judge(aten.log1p.default, call, lambda x: torch.log(1 + x)).passed
    assert judge(aten.log1p.default, call, lambda x: 2 * torch.atanh(x / (2 + x))).passed


def test_a_short_product_may_be_rounded_before_something_is_added() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(8, 3).bfloat16(), torch.randn(3, 50).bfloat16()
    call = Call((-(a.double() @ b.double()).bfloat16() * (1 + 2**-7), a, b))
    assert judge(aten.addmm.default, call, lambda c, a, b: c + a @ b).passed
    assert not judge(aten.addmm.default, call, lambda c, a, b: torch.zeros_like(c) + 0.1).passed


def test_softmax_may_subtract_the_logarithm_of_the_sum() -> None:
    torch.manual_seed(0)
    call = Call((torch.randn(50, 20) * 100, 1, False))
    assert judge(aten._softmax.default, call, lambda x, d, h: torch.exp(x - x.logsumexp(d, True))).passed
    short = judge(aten._softmax.default, call, lambda x, d, h: torch.softmax(x.bfloat16(), d).float())
    assert not short.passed


@pytest.mark.parametrize("is_log", [False, True])
def test_a_softmax_gradient_of_which_one_share_is_nearly_all_may_lose_what_the_sum_rounds_away(
    is_log: bool,
) -> None:
    generator = torch.Generator().manual_seed(3)
    shares = (9 * torch.randn(4000, 49, generator=generator)).log_softmax(-1)
    gradient = 9 * torch.randn(4000, 49, generator=generator)
    if is_log:  # there it is the largest gradient that is taken off again
        gradient[torch.arange(4000), shares.argmax(-1)] *= 1000

    def one_by_one(grad: Tensor, output: Tensor, dim: int, _: torch.dtype) -> Tensor:
        if is_log:
            return grad - output.exp() * summed_in_order(grad, torch.float32).unsqueeze(dim)
        return output * (grad - summed_in_order(grad * output, torch.float32).unsqueeze(dim))

    op = aten._log_softmax_backward_data if is_log else aten._softmax_backward_data
    found = judge(
        op.default, Call((gradient, shares if is_log else shares.exp(), -1, torch.float32)), one_by_one
    )
    assert found.passed, found.message


def test_the_textbook_gradient_of_gelu_is_right_where_little_is_left_of_it() -> None:
    """One plus the error function of a large negative number is what float32 leaves of it, times the incoming gradient."""
    x = torch.linspace(-9, -3, 100_000)
    gradient = torch.full_like(x, 30.0)

    def textbook(grad: Tensor, x: Tensor) -> Tensor:
        density = 0.39894228 * x * torch.exp(-0.5 * x * x)
        return grad * (density + 0.5 * torch.erf(0.70710678 * x) + 0.5)

    found = judge(aten.gelu_backward.default, Call((gradient, x)), textbook)
    assert found.passed, found.message


def test_a_weight_norms_gradient_may_round_a_sum_of_which_little_is_left() -> None:
    """Of 128 columns of random signs one sums up to a hundredth of the others, and the rest is what was rounded of 9,000 terms."""
    generator = torch.Generator().manual_seed(1)
    gradient, v = (9 * torch.randn(96, 96, 128, generator=generator) for _ in range(2))
    g, norms = torch.randn(1, 1, 128, generator=generator), 3 + torch.rand(1, 1, 128, generator=generator)

    def one_by_one(grad: Tensor, v: Tensor, g: Tensor, norms: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        products = (grad * v).flatten(0, 1).T.contiguous()
        summed = summed_in_order(products, torch.float32).view(norms.shape)
        return g / norms * (grad - v * summed / norms**2), summed / norms

    def in_short(grad: Tensor, v: Tensor, *others: object) -> tuple[Tensor, ...]:
        return one_by_one(grad.bfloat16().float(), v, *others)  # type: ignore[arg-type]

    call = Call((gradient, v, g, norms, 2))
    found = judge(aten._weight_norm_interface_backward.default, call, one_by_one)
    assert found.passed, found.message
    assert not judge(aten._weight_norm_interface_backward.default, call, in_short).passed


def test_a_weight_norm_of_single_elements_adds_nothing_up() -> None:
    generator = torch.Generator().manual_seed(1)
    gradient, v, g = (9 * torch.randn(10_000, generator=generator) for _ in range(3))
    call = Call((gradient, v, g, 3 + v.abs(), 0))

    def a_thousandth_off(
        grad: Tensor, v: Tensor, g: Tensor, norms: Tensor, dim: int
    ) -> tuple[Tensor, Tensor]:
        right = aten._weight_norm_interface_backward(grad, v, g, norms, dim)
        return right[0], right[1] * 1.001

    assert not judge(aten._weight_norm_interface_backward.default, call, a_thousandth_off).passed


@pytest.mark.parametrize(
    ("op", "shape", "size", "scales"),
    [
        (aten.upsample_linear1d.default, (2, 64, 120), [503], (4.2,)),
        (aten.upsample_bilinear2d.default, (1, 16, 60, 120), [252, 503], (4.2, 4.2)),
        (aten.upsample_bicubic2d.default, (1, 16, 60, 120), [252, 503], (4.2, 4.2)),
    ],
    ids=["linear", "bilinear", "bicubic"],
)
def test_a_place_between_elements_is_rounded_to_float32(
    op: Any, shape: tuple[int, ...], size: list[int], scales: tuple[float, ...]
) -> None:
    """Between a large element and one that takes it back, half precision tells more than the place does: two of three such kernels were refused."""
    for seed in range(8):
        image = (8 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).half()
        call = Call((image, size, False, *scales), {})
        right = judge(op, call, lambda image, *rest: op(image.float(), *rest).half())
        assert right.passed, right.message
        wrong = judge(op, call, lambda image, *rest: op(image.float(), *rest[:-1], rest[-1] * 1.001).half())
        assert not wrong.passed
