"""Labelled kernels for operators that only the larger suites reach: right ones by another road, and nearly right ones.

Each takes the arguments under the schema's names, defaults filled in. A right one must pass every draw of a suite; a
wrong one must fail at one. What a wrong one does is its name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments

aten = torch.ops.aten
Kernel = Callable[..., Any]


@dataclass(frozen=True)
class Labelled:
    """The labelled kernels of one operator."""

    op: str
    right: dict[str, Kernel] = field(default_factory=dict)
    wrong: dict[str, Kernel] = field(default_factory=dict)


_FOUND: dict[str, Labelled] = {}


def labelled() -> list[Labelled]:
    """All of them, by operator."""
    return [_FOUND[name] for name in sorted(_FOUND)]


def bound(op: torch._ops.OpOverload, kernel: Kernel) -> Kernel:
    """The kernel as a suite calls it."""

    @functools.wraps(kernel)
    def called(*args: Any, **kwargs: Any) -> Any:
        return kernel(**arguments(op, Call(args, kwargs)))

    return called


def right(*ops: str) -> Callable[[Kernel], Kernel]:
    return _into("right", ops)


def wrong(*ops: str) -> Callable[[Kernel], Kernel]:
    return _into("wrong", ops)


def _into(label: str, ops: tuple[str, ...]) -> Callable[[Kernel], Kernel]:
    def note(kernel: Kernel) -> Kernel:
        for op in ops:
            kernels = getattr(_FOUND.setdefault(op, Labelled(op)), label)
            name = kernel.__name__.strip("_").replace("_", " ")
            assert name not in kernels, f"{op} has two kernels called {name}"
            kernels[name] = kernel
        return kernel

    return note


def wide(tensor: Tensor) -> Tensor:
    """In float32 where it is shorter: what a kernel computes in."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def like(result: Tensor, tensor: Tensor) -> Tensor:
    return result.to(tensor.dtype)


# ---- embedding, gather, scatter ------------------------------------------------------------------


@right("embedding.default")
def selects_rows(weight, indices, **_):
    rows = weight.index_select(0, indices.reshape(-1))
    return rows.reshape(*indices.shape, weight.shape[1])


@wrong("embedding.default")
def zeroes_the_padding(weight, indices, padding_idx, **_):
    rows = weight[indices].clone()
    return rows.masked_fill((indices == padding_idx).unsqueeze(-1), 0) if padding_idx >= 0 else rows


@wrong("embedding.default")
def never_reads_the_last_row(weight, indices, **_):
    return weight[indices.clamp(max=max(0, weight.shape[0] - 2))]


@right("embedding_dense_backward.default")
def adds_rows(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    flat, grads = indices.reshape(-1), wide(grad_output).reshape(-1, grad_output.shape[-1])
    out = grads.new_zeros(num_weights, grads.shape[1])
    count = torch.zeros(num_weights, device=flat.device).index_add_(
        0, flat, torch.ones_like(flat, dtype=torch.float32)
    )
    out.index_add_(0, flat, grads)
    if scale_grad_by_freq:
        out = out / count.clamp(min=1).unsqueeze(1)
    if padding_idx >= 0:
        out[padding_idx] = 0
    return like(out, grad_output)


@wrong("embedding_dense_backward.default")
def keeps_the_paddings_gradient(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    return adds_rows(grad_output, indices, num_weights, -1, scale_grad_by_freq)


@wrong("embedding_dense_backward.default")
def repeated_rows_overwrite(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    out = grad_output.new_zeros(num_weights, grad_output.shape[-1])
    out[indices.reshape(-1)] = grad_output.reshape(-1, grad_output.shape[-1])
    if padding_idx >= 0:
        out[padding_idx] = 0
    return out


@wrong("embedding_dense_backward.default")
def frequencies_ignored(grad_output, indices, num_weights, padding_idx, scale_grad_by_freq):
    return adds_rows(grad_output, indices, num_weights, padding_idx, False)


@right("index_put.default", "_unsafe_index_put.default")
def through_flat_places(self, indices, values, accumulate):
    positions = torch.arange(self.numel(), device=self.device).reshape(self.shape)
    places = positions[tuple(slice(None) if each is None else each for each in indices)]
    source = values.to(self.dtype).expand(places.shape).reshape(-1)
    flat = self.clone(memory_format=torch.contiguous_format).reshape(-1)
    places = places.reshape(-1)
    flat = flat.index_add(0, places, source) if accumulate else flat.index_copy(0, places, source)
    return flat.reshape(self.shape)


@wrong("index_put.default", "_unsafe_index_put.default")
def accumulate_ignored(self, indices, values, **_):
    return aten.index_put.default(self, indices, values, False)


@wrong("index_put_.default", "_index_put_impl_.default")
def accumulate_is_ignored(self, indices, values, **_):
    return aten.index_put_.default(self, indices, values, False)


@wrong("index_put_.default")
def sums_only_the_first_of_equal_places(self, indices, values, accumulate):
    if not accumulate:
        return aten.index_put_.default(self, indices, values, False)
    old = self.clone()
    return self.copy_(
        aten.index_put.default(
            old, indices, old[tuple(slice(None) if i is None else i for i in indices)] + values, False
        )
    )


@wrong("scatter_add.default")
def repeated_places_overwrite(self, dim, index, src):
    old = self.gather(dim, index) if self.dim() else self
    source = src[tuple(slice(0, size) for size in index.shape)] if self.dim() else src
    return self.scatter(dim, index, old + source)


@right("scatter_reduce.two")
def scatters_one_kind_at_a_time(self, dim, index, src, reduce, include_self):
    if self.dim() == 0:
        return aten.scatter_reduce.two(self, dim, index, src, reduce, include_self=include_self)
    src = src[tuple(slice(0, size) for size in index.shape)]
    ones = torch.zeros_like(self, dtype=torch.float64).scatter_add(
        dim, index, torch.ones_like(src, dtype=torch.float64)
    )
    hit = ones > 0
    start = {"sum": 0, "mean": 0, "prod": 1, "amax": -math.inf, "amin": math.inf}[reduce]
    if reduce in ("amax", "amin"):
        return aten.scatter_reduce.two(self, dim, index, src, reduce, include_self=include_self)
    base = self.double() if self.is_floating_point() else self.clone()
    if not include_self:
        base = torch.where(hit, torch.full_like(base, start), base)
    if reduce == "prod":
        return like(base.scatter_reduce(dim, index, src.to(base.dtype), "prod"), self)
    out = base.scatter_add(dim, index, src.to(base.dtype))
    if reduce == "mean":
        count = ones + (1 if include_self else 0)
        count = torch.where(count < 1, 1.0, count)
        out = (
            out / count
            if self.is_floating_point()
            else torch.div(out, count.to(out.dtype), rounding_mode="floor")
        )
    return like(out, self)


@wrong("scatter_reduce.two")
def self_always_included(self, dim, index, src, reduce, **_):
    return aten.scatter_reduce.two(self, dim, index, src, reduce)


@wrong("scatter_reduce.two")
def mean_is_a_sum(self, dim, index, src, reduce, include_self):
    return aten.scatter_reduce.two(
        self, dim, index, src, "sum" if reduce == "mean" else reduce, include_self=include_self
    )


@wrong("scatter.reduce")
def product_is_a_sum(self, dim, index, src, reduce):
    return aten.scatter.reduce(self, dim, index, src, reduce="add")


@wrong("scatter.value_reduce")
def products_are_sums(self, dim, index, value, reduce):
    return aten.scatter.value_reduce(self, dim, index, value, reduce="add")


@wrong("gather.default")
def gathers_along_the_last(self, dim, index, **_):
    return (
        self.gather(-1, index.clamp(max=max(0, self.shape[-1] - 1))) if self.dim() else self.gather(0, index)
    )


@wrong("index.Tensor")
def negative_indices_are_not_wrapped(self, indices):
    return self[
        tuple(
            slice(None) if i is None else (i.clamp(min=0) if i.dtype == torch.int64 else i) for i in indices
        )
    ]


@wrong("index_add.default")
def alpha_is_ignored(self, dim, index, source, **_):
    return self.index_add(dim, index, source)


@wrong("take.default")
def takes_modulo_the_first_dimension(self, index):
    return self.reshape(-1)[index % max(1, self.shape[0] if self.dim() else 1)]


# ---- pooling -------------------------------------------------------------------------------------


@right("max_pool2d_with_indices_backward.default")
def adds_at_the_places(grad_output, self, indices, **_):
    out = torch.zeros_like(wide(self), memory_format=torch.contiguous_format).flatten(-2)
    return like(
        out.scatter_add(-1, indices.flatten(-2), wide(grad_output).flatten(-2)).reshape(self.shape), self
    )


@wrong("max_pool2d_with_indices_backward.default")
def overlapping_windows_overwrite(grad_output, self, indices, **_):
    out = torch.zeros_like(self, memory_format=torch.contiguous_format).flatten(-2)
    return out.scatter(-1, indices.flatten(-2), grad_output.flatten(-2)).reshape(self.shape)


@right("max_pool2d_with_indices.default")
def over_windows_of_a_padded_picture(self, kernel_size, stride, padding, dilation, ceil_mode):
    def pair(value, default):
        return list(value) * (2 // len(value)) if value else default

    k, p, d = pair(kernel_size, None), pair(padding, [0, 0]), pair(dilation, [1, 1])
    s = pair(stride, k)
    sizes = aten.max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)[0].shape[
        -2:
    ]
    high, broad = self.shape[-2:]
    rows = (
        torch.arange(sizes[0]).reshape(-1, 1, 1, 1) * s[0]
        - p[0]
        + torch.arange(k[0]).reshape(1, 1, -1, 1) * d[0]
    )
    columns = (
        torch.arange(sizes[1]).reshape(1, -1, 1, 1) * s[1]
        - p[1]
        + torch.arange(k[1]).reshape(1, 1, 1, -1) * d[1]
    )
    inside = (rows >= 0) & (rows < high) & (columns >= 0) & (columns < broad)
    places = (rows.clamp(0, high - 1) * broad + columns.clamp(0, broad - 1)).flatten(2)
    inside = inside.flatten(2)
    windows = self.flatten(-2)[..., places].masked_fill(
        ~inside, -math.inf if self.is_floating_point() else torch.iinfo(self.dtype).min
    )
    values, best = windows.max(-1)
    return values, places.expand_as(windows).gather(-1, best.unsqueeze(-1)).squeeze(-1)


@wrong("max_pool2d_with_indices.default")
def a_nan_loses(self, kernel_size, stride, padding, dilation, ceil_mode):
    clean = (
        self.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
        if self.is_floating_point()
        else self
    )
    return aten.max_pool2d_with_indices(clean, kernel_size, stride, padding, dilation, ceil_mode)


@wrong("max_pool2d_with_indices.default")
def padding_is_zero(self, kernel_size, stride, padding, dilation, ceil_mode):
    values, places = aten.max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)
    return (values.clamp(min=0) if any(padding) else values), places


@wrong("max_pool2d_with_indices.default")
def places_within_the_window(self, kernel_size, stride, padding, dilation, ceil_mode):
    values, places = aten.max_pool2d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)
    return values, places % (kernel_size[0] * kernel_size[-1])


@right("avg_pool2d.default")
def sums_over_windows(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    return like(
        F.avg_pool2d(
            self.double(),
            kernel_size,
            stride or None,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        ),
        self,
    )


@wrong("avg_pool2d.default")
def padding_never_counts(self, kernel_size, stride, padding, ceil_mode, divisor_override, **_):
    return aten.avg_pool2d(self, kernel_size, stride, padding, ceil_mode, False, divisor_override)


@wrong("avg_pool2d.default")
def always_divides_by_the_kernel(self, kernel_size, stride, padding, ceil_mode, **_):
    return aten.avg_pool2d(
        self, kernel_size, stride, padding, ceil_mode, True, kernel_size[0] * kernel_size[-1]
    )


@wrong("avg_pool2d.default")
def divisor_is_ignored(self, kernel_size, stride, padding, ceil_mode, count_include_pad, **_):
    return aten.avg_pool2d(self, kernel_size, stride, padding, ceil_mode, count_include_pad)


@wrong("_adaptive_avg_pool2d.default")
def windows_of_equal_size(self, output_size):
    k = [max(1, size // out) for size, out in zip(self.shape[-2:], output_size, strict=True)]
    out = F.avg_pool2d(self, k, k)[..., : output_size[0], : output_size[1]]
    return F.pad(out, (0, output_size[1] - out.shape[-1], 0, output_size[0] - out.shape[-2]))


# ---- losses --------------------------------------------------------------------------------------


def _nll(self, target, weight, reduction, ignore_index, *, ignores=True, by_weight=True, counts=True):
    scores = wide(self) if self.dim() > 1 else wide(self).unsqueeze(0)
    goals = target.reshape(-1)
    kept = goals != ignore_index if ignores else torch.ones_like(goals, dtype=torch.bool)
    safe = goals.clamp(0, scores.shape[1] - 1)
    each = (
        wide(weight)[safe] if weight is not None and by_weight else torch.ones_like(safe, dtype=scores.dtype)
    ) * kept
    losses = -scores.gather(1, safe.unsqueeze(1)).squeeze(1)
    losses = torch.where(kept, losses * each, 0.0)
    total = each.sum() if counts else torch.tensor(float(goals.numel()))
    if reduction == 0:
        return like(losses.reshape(target.shape) if self.dim() > 1 else losses.reshape(()), self), like(
            torch.zeros(()), self
        )
    loss = losses.sum()
    return like(loss / total if reduction == 1 else loss, self), like(total, self)


@right("nll_loss_forward.default")
def class_by_class(self, target, weight, reduction, ignore_index):
    return _nll(self, target, weight, reduction, ignore_index)


@wrong("nll_loss_forward.default")
def ignores_nothing(self, target, weight, reduction, ignore_index):
    return _nll(self, target, weight, reduction, ignore_index, ignores=False)


@wrong("nll_loss_forward.default")
def mean_over_all_targets(self, target, weight, reduction, ignore_index):
    return _nll(self, target, weight, reduction, ignore_index, counts=False)


@wrong("nll_loss_forward.default")
def weights_ignored(self, target, weight, reduction, ignore_index):
    return _nll(self, target, weight, reduction, ignore_index, by_weight=False)


@wrong("nll_loss2d_forward.default")
def pixels_are_all_kept(self, target, weight, reduction, ignore_index):
    inside = target.clamp(0, self.shape[1] - 1)
    return aten.nll_loss2d_forward(self, inside, weight, reduction, -1)


@wrong("mse_loss.default")
def always_a_mean(self, target, **_):
    return like((wide(self) - wide(target)).square().mean(), self)


@wrong("smooth_l1_loss.default")
def beta_is_one(self, target, reduction, **_):
    return aten.smooth_l1_loss(self, target, reduction, 1.0)


@wrong("huber_loss.default")
def delta_is_one(self, target, reduction, **_):
    return aten.huber_loss(self, target, reduction, 1.0)


@wrong("binary_cross_entropy.default")
def logarithms_unclamped(self, target, weight, reduction):
    x, t = wide(self), wide(target)
    each = -(torch.special.xlogy(t, x) + torch.special.xlogy(1 - t, 1 - x))
    each = each if weight is None else each * weight
    return like(each if reduction == 0 else each.mean() if reduction == 1 else each.sum(), self)


@wrong("binary_cross_entropy_with_logits.default")
def positive_weights_ignored(self, target, weight, reduction, **_):
    return aten.binary_cross_entropy_with_logits(self, target, weight, None, reduction)


# ---- activations ---------------------------------------------------------------------------------


@right("gelu.default")
def by_erfc(self, approximate):
    x = self.double()
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return like(0.5 * x * (1 + inner.tanh()), self)
    return like(torch.where(x == -math.inf, math.nan, 0.5 * x * torch.special.erfc(-x / math.sqrt(2))), self)


@wrong("gelu.default")
def always_tanh(self, **_):
    return aten.gelu(self, approximate="tanh")


@wrong("gelu.default")
def always_exact(self, **_):
    return aten.gelu(self)


@wrong("gelu.default")
def by_a_sigmoid(self, **_):
    return like(wide(self) * torch.sigmoid(1.702 * wide(self)), self)


@wrong("gelu_backward.default")
def gradient_always_exact(grad_output, self, **_):
    return aten.gelu_backward(grad_output, self)


@wrong("leaky_relu.default")
def slope_is_a_hundredth(self, **_):
    return aten.leaky_relu(self, 0.01)


@right("leaky_relu.default")
def largest_and_smallest(self, negative_slope):
    x = wide(self)
    return like(torch.where(x > 0, x, x * negative_slope), self)


@wrong("leaky_relu_backward.default")
def slope_of_the_gradient_is_a_hundredth(grad_output, self, self_is_result, **_):
    return aten.leaky_relu_backward(grad_output, self, 0.01, self_is_result)


@wrong("elu.default")
def alpha_and_scales_are_one(self, **_):
    return aten.elu(self)


@wrong("elu_backward.default")
def never_a_result(grad_output, alpha, scale, input_scale, self_or_result, **_):
    return aten.elu_backward(grad_output, alpha, scale, input_scale, False, self_or_result)


@right("hardtanh_backward.default")
def strictly_inside(grad_output, self, min_val, max_val):
    return torch.where((self <= min_val) | (self >= max_val), torch.zeros_like(grad_output), grad_output)


@wrong("hardtanh_backward.default")
def edges_included(grad_output, self, min_val, max_val):
    return torch.where((self < min_val) | (self > max_val), torch.zeros_like(grad_output), grad_output)


@wrong("threshold_backward.default")
def threshold_included(grad_output, self, threshold):
    return torch.where(self >= threshold, grad_output, torch.zeros_like(grad_output))


@wrong("softplus.default")
def beta_is_one_always(self, threshold, **_):
    return aten.softplus(self, 1, threshold)


@wrong("softplus.default")
def threshold_is_twenty(self, beta, **_):
    return aten.softplus(self, beta, 20)


@wrong("glu.default")
def halves_of_the_last_dimension(self, dim):
    a, b = self.tensor_split(2, dim)
    return like(wide(b) * torch.sigmoid(wide(a)), self)


@wrong("logit.default")
def eps_ignored(self, **_):
    return aten.logit(self)


@wrong("hardsigmoid_backward.default")
def kinks_included(grad_output, self):
    return torch.where((self >= -3) & (self <= 3), grad_output / 6, torch.zeros_like(grad_output))


@wrong("log1p.default")
def log_of_one_plus(self):
    return like(torch.log(1 + wide(self)), self)


@wrong("expm1.default")
def exp_less_one(self):
    return like(torch.exp(wide(self)) - 1, self)


@wrong("logaddexp.default")
def naive_logaddexp(self, other):
    return torch.log(torch.exp(self) + torch.exp(other))


@wrong("round.default")
def half_away_from_zero(self):
    return torch.sign(self) * torch.floor(self.abs() + 0.5) if self.is_floating_point() else self.clone()


@wrong("silu.default")
def hard_swish(self):
    return F.hardswish(self)


# ---- normalisation -------------------------------------------------------------------------------


def _moments(x, dims, correction=0):
    return x.mean(dims, keepdim=True), x.var(dims, correction=correction, keepdim=True)


def _layer_norm(input, normalized_shape, weight, bias, eps, *, fixed_eps=None, correction=0, outside=False):
    dims = list(range(input.dim() - len(normalized_shape), input.dim()))
    x = wide(input)
    mean, var = _moments(x, dims, correction)
    eps = eps if fixed_eps is None else fixed_eps
    rstd = 1 / (var.sqrt() + eps) if outside else torch.rsqrt(var + eps)
    out = (x - mean) * rstd
    out = out if weight is None else out * wide(weight)
    out = out if bias is None else out + wide(bias)
    kept = input.dtype if weight is None else weight.dtype
    return like(out, input), mean.to(kept), rstd.to(kept)


@right("native_layer_norm.default")
def two_passes(input, normalized_shape, weight, bias, eps):
    return _layer_norm(input, normalized_shape, weight, bias, eps)


@wrong("native_layer_norm.default")
def eps_is_1e_5(input, normalized_shape, weight, bias, eps):
    return _layer_norm(input, normalized_shape, weight, bias, eps, fixed_eps=1e-5)


@wrong("native_layer_norm.default")
def eps_is_added_to_the_deviation(input, normalized_shape, weight, bias, eps):
    return _layer_norm(input, normalized_shape, weight, bias, eps, outside=True)


@wrong("native_layer_norm.default")
def variance_unbiased(input, normalized_shape, weight, bias, eps):
    return _layer_norm(input, normalized_shape, weight, bias, eps, correction=1)


@wrong("native_layer_norm.default")
def bias_forgotten(input, normalized_shape, weight, bias, eps):
    return _layer_norm(input, normalized_shape, weight, None, eps)


def _group_norm(
    input, weight, bias, N, C, HxW, group, eps, *, by_group=False, fixed_eps=None, interleaved=False
):
    x = (
        wide(input).reshape(N, group, C // group * HxW)
        if not interleaved
        else wide(input).reshape(N, C // group, group, -1).transpose(1, 2).reshape(N, group, -1)
    )
    mean, var = _moments(x, [2])
    rstd = torch.rsqrt(var + (eps if fixed_eps is None else fixed_eps))
    out = ((x - mean) * rstd).reshape(N, C, HxW)
    if interleaved:
        out = ((x - mean) * rstd).reshape(N, group, C // group, HxW).transpose(1, 2).reshape(N, C, HxW)
    if weight is not None:
        w = wide(weight)
        out = out * (w[:group].repeat_interleave(C // group) if by_group else w).reshape(1, C, 1)
    if bias is not None:
        out = out + wide(bias).reshape(1, C, 1)
    return (
        like(out.reshape(input.shape), input),
        mean.reshape(N, group).to(input.dtype if weight is None else weight.dtype),
        rstd.reshape(N, group).to(input.dtype if weight is None else weight.dtype),
    )


@right("native_group_norm.default")
def groups_in_two_passes(input, weight, bias, N, C, HxW, group, eps):
    return _group_norm(input, weight, bias, N, C, HxW, group, eps)


@wrong("native_group_norm.default")
def weights_by_group(input, weight, bias, N, C, HxW, group, eps):
    return _group_norm(input, weight, bias, N, C, HxW, group, eps, by_group=True)


@wrong("native_group_norm.default")
def group_eps_is_1e_5(input, weight, bias, N, C, HxW, group, eps):
    return _group_norm(input, weight, bias, N, C, HxW, group, eps, fixed_eps=1e-5)


@wrong("native_group_norm.default")
def channels_interleaved(input, weight, bias, N, C, HxW, group, eps):
    return _group_norm(input, weight, bias, N, C, HxW, group, eps, interleaved=True)


def _batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps, *,
    unbiased=True, fixed_momentum=None, updates=True, always_batch=False, fixed_eps=None,
):  # fmt: skip
    x = wide(input)
    dims = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    eps = eps if fixed_eps is None else fixed_eps
    if training or running_mean is None or always_batch:
        mean, var = x.mean(dims), x.var(dims, correction=0)
    else:
        mean, var = wide(running_mean), wide(running_var)
    if training and updates and running_mean is not None:
        share = momentum if fixed_momentum is None else fixed_momentum
        count = x.numel() // max(1, x.shape[1])
        moved = (
            x.var(dims, correction=1)
            if unbiased and count > 1
            else var * (count / max(1, count - 1) if unbiased else 1)
        )
        running_mean.copy_(like((1 - share) * wide(running_mean) + share * mean, running_mean))
        running_var.copy_(like((1 - share) * wide(running_var) + share * moved, running_var))
    rstd = torch.rsqrt(var + eps)
    out = (x - mean.reshape(shape)) * rstd.reshape(shape)
    out = out if weight is None else out * wide(weight).reshape(shape)
    out = out if bias is None else out + wide(bias).reshape(shape)
    if not training:
        return like(out, input), input.new_empty(0), input.new_empty(0)
    kept = input.dtype if weight is None else weight.dtype
    return like(out, input), mean.to(kept), rstd.to(kept)


_BATCH_NORMS = ("native_batch_norm.default", "_native_batch_norm_legit.default")


@right(*_BATCH_NORMS)
def channels_in_two_passes(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


@wrong(*_BATCH_NORMS)
def running_variance_biased(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, unbiased=False
    )


@wrong(*_BATCH_NORMS)
def momentum_is_a_tenth(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, fixed_momentum=0.1
    )


@wrong(*_BATCH_NORMS)
def running_statistics_untouched(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, updates=False)


@wrong(*_BATCH_NORMS)
def always_by_the_batch(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, always_batch=True
    )


@wrong(*_BATCH_NORMS)
def batch_eps_is_1e_5(input, weight, bias, running_mean, running_var, training, momentum, eps):
    return _batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, fixed_eps=1e-5
    )


# ---- products ------------------------------------------------------------------------------------


@right("convolution.default")
def in_float64(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    wider = [each if each is None else each.double() for each in (input, weight, bias)]
    return like(
        aten.convolution(*wider, stride, padding, dilation, transposed, output_padding, groups), input
    )


@wrong("convolution.default")
def bias_dropped(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    return aten.convolution(
        input, weight, None, stride, padding, dilation, transposed, output_padding, groups
    )


@wrong("convolution.default")
def dilation_is_one(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    out = aten.convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
    same = aten.convolution(
        input, weight, bias, stride, padding, [1] * len(dilation), transposed, output_padding, groups
    )
    return same[tuple(slice(0, size) for size in out.shape)].contiguous()


@wrong("convolution.default")
def flipped_kernel(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    return aten.convolution(
        input,
        weight.flip(list(range(2, weight.dim()))),
        bias,
        stride,
        padding,
        dilation,
        transposed,
        output_padding,
        groups,
    )


@wrong("convolution.default")
def groups_swapped(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    if groups > 1:
        per = input.shape[-len(stride) - 1] // groups
        dim = input.dim() - len(stride) - 1
        input = input.roll(per, dim)
    return aten.convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


@wrong("addmm.default", "baddbmm.default", "addmv.default")
def beta_zero_multiplies(self, beta, alpha, **rest):
    one, two = rest.values()
    product = one @ two
    return like(beta * wide(self) + alpha * wide(product), product)


@wrong("addmm.default")
def alpha_and_beta_are_one(self, mat1, mat2, **_):
    return aten.addmm(self, mat1, mat2)


@wrong("baddbmm.default")
def batch_beta_is_one(self, batch1, batch2, alpha, **_):
    return aten.baddbmm(self, batch1, batch2, alpha=alpha)


@wrong("bmm.default")
def last_batch_twice(self, mat2):
    out = aten.bmm(self, mat2)
    if out.shape[0] > 1:
        out[-1] = out[-2]
    return out


@wrong("bmm.default")
def misses_the_last_term(self, mat2):
    return aten.bmm(self[..., :-1], mat2[:, :-1]) if self.shape[-1] > 1 else aten.bmm(self, mat2)


@wrong("mm.default", "dot.default", "mv.default")
def only_a_thousand_terms(self, **rest):
    (other,) = rest.values()
    return self[..., :1024] @ other[:1024]


# ---- resampling, padding, moving -----------------------------------------------------------------


@wrong("upsample_bilinear2d.default")
def corners_never_aligned(self, output_size, scales_h, scales_w, **_):
    return aten.upsample_bilinear2d(self, output_size, False, scales_h, scales_w)


@wrong("upsample_bilinear2d.vec")
def vec_corners_never_aligned(input, output_size, scale_factors, **_):
    return aten.upsample_bilinear2d.vec(input, output_size, False, scale_factors)


@wrong("upsample_bilinear2d.default")
def scales_ignored(self, output_size, align_corners, **_):
    return aten.upsample_bilinear2d(self, output_size, align_corners)


@wrong("upsample_nearest2d.default")
def nearest_of_centres(self, output_size, scales_h, scales_w):
    return aten._upsample_nearest_exact2d(self, output_size, scales_h, scales_w)


@wrong("upsample_bicubic2d.default")
def bilinear_instead(self, output_size, align_corners, scales_h, scales_w):
    return aten.upsample_bilinear2d(self, output_size, align_corners, scales_h, scales_w)


@right("roll.default")
def one_dimension_after_another(self, shifts, dims):
    if not dims:
        flat = self.reshape(-1)
        cut = (-shifts[0]) % max(1, flat.numel())
        return torch.cat((flat[cut:], flat[:cut])).reshape(self.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        size = self.shape[dim]
        if size:
            cut = (-shift) % size
            self = torch.cat((self.narrow(dim, cut, size - cut), self.narrow(dim, 0, cut)), dim)
    return self.clone()


@wrong("roll.default")
def the_other_way(self, shifts, dims):
    return aten.roll(self, [-shift for shift in shifts], dims)


@wrong("roll.default")
def first_dimension_only(self, shifts, dims):
    return aten.roll(self, shifts[:1], dims[:1])


@wrong("flip.default")
def flips_the_first_only(self, dims):
    return aten.flip(self, dims[:1])


@wrong("constant_pad_nd.default")
def pads_with_zero(self, pad, **_):
    return aten.constant_pad_nd(self, pad, 0)


@wrong("constant_pad_nd.default")
def sides_swapped(self, pad, value):
    swapped = [pad[n ^ 1] for n in range(len(pad))]
    return aten.constant_pad_nd(self, swapped, value)


@wrong("tril.default")
def below_the_main_diagonal(self, **_):
    return aten.tril(self)


@wrong("triu.default")
def above_the_main_diagonal(self, **_):
    return aten.triu(self)


@wrong("im2col.default")
def dilation_forgotten(self, kernel_size, dilation, padding, stride):
    out = aten.im2col(self, kernel_size, dilation, padding, stride)
    same = aten.im2col(self, kernel_size, [1, 1], padding, stride)
    return same[..., : out.shape[-1]].contiguous()


@wrong("col2im.default")
def columns_overwrite(self, output_size, kernel_size, dilation, padding, stride):
    count = aten.col2im(torch.ones_like(self), output_size, kernel_size, dilation, padding, stride)
    return aten.col2im(self, output_size, kernel_size, dilation, padding, stride) / count.clamp(min=1)


@wrong("grid_sampler_2d.default")
def border_is_zeros(input, grid, interpolation_mode, align_corners, **_):
    return aten.grid_sampler_2d(input, grid, interpolation_mode, 0, align_corners)


@wrong("grid_sampler_2d.default")
def grid_corners_never_aligned(input, grid, interpolation_mode, padding_mode, **_):
    return aten.grid_sampler_2d(input, grid, interpolation_mode, padding_mode, False)


@wrong("grid_sampler_2d.default")
def always_bilinear(input, grid, padding_mode, align_corners, **_):
    return aten.grid_sampler_2d(input, grid, 0, padding_mode, align_corners)


@wrong("cat.default")
def along_the_first(tensors, **_):
    return torch.cat(tensors) if len({t.shape[1:] for t in tensors}) == 1 else torch.cat(tensors, 1)


@wrong("slice_backward.default")
def steps_of_one(grad_output, input_sizes, dim, start, end, step):
    out = grad_output.new_zeros(input_sizes)
    size = grad_output.shape[dim]
    start = min(max(0, start + input_sizes[dim] if start < 0 else start), input_sizes[dim])
    part = out.narrow(dim, start, min(size, input_sizes[dim] - start))
    part.copy_(grad_output.narrow(dim, 0, part.shape[dim]))
    return out


@wrong("repeat.default")
def repeats_each_element(self, repeats):
    out = self.expand([1] * (len(repeats) - self.dim()) + list(self.shape))
    for dim, count in enumerate(repeats):
        out = out.repeat_interleave(count, dim)
    return out


# ---- scans, orders, reductions -------------------------------------------------------------------


@right("cumsum.default")
def scans_in_float64(self, dim, dtype):
    kind = dtype or (self.dtype if self.is_floating_point() or self.is_complex() else torch.int64)
    x = self.to(kind)
    return (x.double() if kind.is_floating_point else x).cumsum(dim).to(kind)


@wrong("cumsum.default")
def no_carry_beyond_a_thousand(self, dim, dtype):
    out = aten.cumsum(self, dim, dtype=dtype)
    if self.dim() and self.shape[dim] > 1024:
        tail = self.narrow(dim, 1024, self.shape[dim] - 1024)
        out.narrow(dim, 1024, tail.shape[dim]).copy_(aten.cumsum(tail, dim, dtype=dtype))
    return out


@wrong("cumprod.default")
def no_carry_beyond_a_block(self, dim, dtype):
    out = aten.cumprod(self, dim, dtype=dtype)
    if self.dim() and self.shape[dim] > 256:
        tail = self.narrow(dim, 256, self.shape[dim] - 256)
        out.narrow(dim, 256, tail.shape[dim]).copy_(aten.cumprod(tail, dim, dtype=dtype))
    return out


@wrong("cummax.default")
def strictly_larger_only(self, dim):
    values, places = aten.cummax(self, dim)
    return values, torch.zeros_like(places)


@wrong("logcumsumexp.default")
def naive_logcumsumexp(self, dim):
    return like(wide(self).exp().cumsum(dim).log(), self)


@wrong("logsumexp.default")
def naive_logsumexp(self, dim, keepdim):
    return like(wide(self).exp().sum(dim, keepdim).log(), self)


@right("_softmax.default")
def shifted_exponentials(self, dim, half_to_float):
    x = wide(self)
    e = (x - x.amax(dim, keepdim=True)).exp() if x.numel() else x.exp()
    out = e / e.sum(dim, keepdim=True)
    return out if half_to_float else like(out, self)


@wrong("_softmax.default")
def over_the_last_dimension(self, half_to_float, **_):
    out = torch.softmax(self, -1)
    return out.float() if half_to_float else out


@wrong("_log_softmax.default")
def logs_over_the_last_dimension(self, half_to_float, **_):
    out = torch.log_softmax(self, -1)
    return out.float() if half_to_float else out


@wrong("_softmax_backward_data.default")
def gradient_over_the_last_dimension(grad_output, output, input_dtype, **_):
    return aten._softmax_backward_data(grad_output, output, -1, input_dtype)


@wrong("_log_softmax_backward_data.default")
def log_gradient_over_the_last_dimension(grad_output, output, input_dtype, **_):
    return aten._log_softmax_backward_data(grad_output, output, -1, input_dtype)


@wrong("argmax.default")
def a_nan_is_never_the_largest(self, dim, keepdim):
    clean = (
        self.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
        if self.is_floating_point()
        else self
    )
    return aten.argmax(clean, dim, keepdim)


@wrong("argmax.default")
def flat_place_for_a_dimension(self, dim, keepdim):
    out = aten.argmax(self, dim, keepdim)
    return out if dim is None else (out * 0 + aten.argmax(self))


@wrong("sort.stable")
def equal_ones_the_other_way(self, stable, dim, descending):
    values, places = aten.sort(self.flip(dim) if self.dim() else self, dim, descending)
    return values, (self.shape[dim] - 1 - places if self.dim() else places)


@wrong("sort.default", "sort.stable")
def always_ascending(self, dim, **_):
    return aten.sort(self, dim)


@wrong("topk.default")
def always_the_largest(self, k, dim, sorted, **_):
    return aten.topk(self, k, dim, True, sorted)


@right("topk.default")
def first_of_the_sorted(self, k, dim, largest, **_):
    if not self.dim():
        return self.clone(), torch.zeros((), dtype=torch.int64)
    values, places = self.sort(dim, descending=largest)
    return values.narrow(dim, 0, k).contiguous(), places.narrow(dim, 0, k).contiguous()


def _var(self, dim, correction, keepdim):
    x = wide(self)
    dims = dim or list(range(x.dim()))
    count = math.prod(x.shape[d] for d in dims) if x.dim() else 1
    squares = (x - x.mean(dims, keepdim=True)).abs().square() if x.dim() else (x - x) ** 2
    divisor = max(0.0, count - (1 if correction is None else correction))
    total = squares.sum(dims, keepdim=keepdim) if x.dim() else squares
    return total / divisor if divisor else total * math.nan if count == 0 else total / torch.zeros_like(total)


@right("var.correction")
def variance_in_two_passes(self, dim, correction, keepdim):
    return (
        like(_var(self, dim, correction, keepdim), self)
        if not self.is_complex()
        else aten.var.correction(self, dim, correction=correction, keepdim=keepdim)
    )


@wrong("var.correction")
def correction_is_one(self, dim, keepdim, **_):
    return aten.var.correction(self, dim, correction=1, keepdim=keepdim)


@wrong("std.correction")
def correction_of_one(self, dim, keepdim, **_):
    return aten.std.correction(self, dim, correction=1, keepdim=keepdim)


@wrong("var_mean.correction")
def correction_always_one(self, dim, keepdim, **_):
    return aten.var_mean.correction(self, dim, correction=1, keepdim=keepdim)


@wrong("linalg_vector_norm.default")
def always_euclidean(self, dim, keepdim, dtype, **_):
    return aten.linalg_vector_norm(self, 2, dim, keepdim, dtype=dtype)


@wrong("norm.ScalarOpt_dim")
def euclidean_always(self, dim, keepdim, **_):
    return aten.norm.ScalarOpt_dim(self, 2, dim, keepdim)


@wrong("amax.default")
def last_dimension_only(self, dim, keepdim):
    return (
        self.amax(list(dim)[-1:], keepdim)
        if len(dim) == 1
        else aten.amax(self.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf), dim, keepdim)
    )


@wrong("max.dim")
def nan_is_not_the_largest(self, dim, keepdim):
    clean = (
        self.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
        if self.is_floating_point()
        else self
    )
    return aten.max.dim(clean, dim, keepdim)


# ---- pointwise with two faces --------------------------------------------------------------------


@right("masked_fill.Scalar")
def where_masked(self, mask, value):
    return torch.where(mask, torch.full((), value, dtype=self.dtype), self)


@wrong("masked_fill.Scalar", "masked_fill.Tensor")
def mask_inverted_where_broadcast(self, mask, value):
    return torch.where(
        mask.expand(torch.broadcast_shapes(self.shape, mask.shape))
        .contiguous()
        .reshape(-1)
        .flip(0)
        .reshape(torch.broadcast_shapes(self.shape, mask.shape)),
        torch.as_tensor(value, dtype=self.dtype),
        self,
    )


@wrong("where.self")
def dtype_of_the_first(condition, self, other):
    return torch.where(condition, self, other.to(self.dtype))


@wrong("where.self")
def condition_read_flat(condition, self, other):
    shape = torch.broadcast_shapes(condition.shape, self.shape, other.shape)
    flat = condition.contiguous().reshape(-1)
    n = math.prod(shape)
    picks = (
        flat[torch.arange(n) % max(1, flat.numel())].reshape(shape)
        if flat.numel()
        else condition.expand(shape)
    )
    return torch.where(picks, self, other)


@wrong("clamp.default")
def nan_becomes_a_bound(self, min, max):
    out = self
    if min is not None:
        out = torch.fmax(out, torch.full((), min, dtype=self.dtype))
    if max is not None:
        out = torch.fmin(out, torch.full((), max, dtype=self.dtype))
    return like(out, self)


@wrong("clamp.Tensor")
def bounds_nan_passed_over(self, min, max):
    out = self
    out = out if min is None else torch.fmax(out, min)
    return out if max is None else torch.fmin(out, max)


@wrong("clamp.default")
def max_first(self, min, max):
    out = self if max is None else self.clamp(max=max)
    return aten.clamp(self, min, max) if out is self else (out if min is None else out.clamp(min=min))


@wrong("pow.Tensor_Scalar")
def by_exp_and_log(self, exponent):
    out = aten.pow.Tensor_Scalar(self, exponent)
    return (
        torch.exp(exponent * torch.log(wide(self))).to(out.dtype)
        if self.is_floating_point() and isinstance(exponent, (int, float))
        else out
    )


@wrong("pow.Tensor_Tensor")
def of_absolute_values(self, exponent):
    return aten.pow.Tensor_Tensor(self.abs(), exponent)


@wrong("pow.Tensor_Scalar")
def square_at_whole_exponents(self, exponent):
    return aten.pow.Tensor_Scalar(self, exponent) if exponent != 3 else aten.pow.Tensor_Scalar(self, 2)


@wrong("remainder.Tensor")
def sign_of_the_dividend(self, other):
    return torch.fmod(self, other)


@wrong("remainder.Scalar")
def dividends_sign(self, other):
    return torch.fmod(self, other)


@wrong("fmod.Tensor")
def sign_of_the_divisor(self, other):
    return torch.remainder(self, other)


@wrong("floor_divide.default")
def truncates(self, other):
    return torch.div(self, other, rounding_mode="trunc")


@wrong("div.Tensor_mode")
def always_floors(self, other, rounding_mode):
    return torch.div(self, other, rounding_mode="floor" if rounding_mode else None)


@wrong("bitwise_not.default")
def negates(self):
    return (-self - 1) if self.dtype is not torch.bool else self.clone()


@wrong("add.Tensor")
def alpha_is_one(self, other, **_):
    return torch.add(self, other)


@wrong("sub.Tensor")
def subtracts_once(self, other, **_):
    return torch.sub(self, other)


@wrong("add.Tensor")
def dtype_of_self(self, other, alpha):
    other = other if isinstance(other, Tensor) else torch.tensor(other)
    return (
        torch.add(self, other.to(self.dtype), alpha=alpha)
        if self.dtype != torch.bool and other.dtype.is_complex == self.dtype.is_complex
        else torch.add(self, other, alpha=alpha)
    )


@wrong("lerp.Scalar")
def ends_swapped(self, end, weight):
    return torch.lerp(end, self, weight)


@wrong("addcmul.default")
def factor_is_one(self, tensor1, tensor2, **_):
    return torch.addcmul(self, tensor1, tensor2)


@wrong("addcdiv.default")
def quotient_is_not_scaled(self, tensor1, tensor2, **_):
    return torch.addcdiv(self, tensor1, tensor2)


@wrong("heaviside.default")
def one_at_zero(self, values):
    return torch.heaviside(self, torch.ones_like(values))


@wrong("sign.default")
def sign_of_zero_is_one(self):
    return torch.where(self >= 0, 1, -1).to(self.dtype)


@wrong("copysign.Tensor")
def sign_by_comparison(self, other):
    out = torch.where(other < 0, -self.abs(), self.abs())
    return out.to(torch.result_type(self, other))


@wrong("searchsorted.Tensor")
def always_left(sorted_sequence, self, out_int32, sorter, **_):
    return aten.searchsorted.Tensor(sorted_sequence, self, out_int32=out_int32, sorter=sorter)


@wrong("bucketize.Tensor")
def left_always(self, boundaries, out_int32, **_):
    return aten.bucketize.Tensor(self, boundaries, out_int32=out_int32)


@wrong("_to_copy.default")
def rounds_to_whole_numbers(self, dtype, **rest):
    if (
        dtype is not None
        and self.is_floating_point()
        and not dtype.is_floating_point
        and not dtype.is_complex
        and dtype is not torch.bool
    ):
        self = self.round()
    return aten._to_copy(self, dtype=dtype, **rest)
