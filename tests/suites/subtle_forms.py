"""More labelled kernels: right in every form that models record, and wrong in one that the judge makes of it.

Registered with those of `subtle`, whose rules hold here.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # its usual name

from tests.suites.subtle import aten, right, wrong

RECORDED = """\
Operator: aten.max_pool2d_with_indices.default
cnt: 1, ((T([1, 4, 12, 12], f32), [3, 3], [2, 2], [1, 1]), {})
Operator: aten.avg_pool2d.default
cnt: 1, ((T([1, 4, 12, 12], f32), [2, 2], [2, 2]), {})
Operator: aten.roll.default
cnt: 1, ((T([1, 14, 14, 8], f32), [3, 3], [1, 2]), {})
Operator: aten.upsample_linear1d.default
cnt: 1, ((T([1, 4, 27], f32), [27], False), {})
Operator: aten.upsample_bilinear2d.default
cnt: 1, ((T([1, 4, 8, 8], f32), [16, 16], True, 2.0, 2.0), {})
Operator: aten.scatter.src
cnt: 1, ((T([7, 9], f32), 1, T([7, 4], i64), T([7, 4], f32)), {})
Operator: aten.div.Tensor_mode
cnt: 1, ((T([128], f32), 2), {'rounding_mode': 'floor'})
Operator: aten.scalar_tensor.default
cnt: 1, ((1000,), {'dtype': f32, 'layout': torch.strided, 'device': 'cpu'})
Operator: aten.arange.start_step
cnt: 1, ((0, 56, 2), {'dtype': f32, 'device': 'cpu', 'pin_memory': False})
Operator: aten.any.dim
cnt: 1, ((T([1, 1, 128, 4100], b8), -1), {})
Operator: aten.native_layer_norm_backward.default
cnt: 1, ((T([6, 64], f32), T([6, 64], f32), [64], T([6, 1], f32), T([6, 1], f32), T([64], f32), T([64], f32), [True, True, True]), {})
Operator: aten._scaled_dot_product_flash_attention_for_cpu.default
cnt: 1, ((T([2, 4, 33, 16], f32), T([2, 4, 33, 16], f32), T([2, 4, 33, 16], f32)), {})
Operator: aten._safe_softmax.default
cnt: 1, ((T([5, 33], f32), -1), {})
Operator: aten.stack.default
cnt: 1, (([T([5, 4], f32), T([5, 4], f32)], 1), {})
Operator: aten.abs.default
cnt: 1, ((T([5, 40], f32),), {})
"""


@wrong("max_pool2d_with_indices.default")
def place_by_the_height(self, kernel_size, stride, padding, dilation, ceil_mode):
    values, places = F.max_pool2d(
        self, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True
    )
    height, width = self.shape[-2:]
    return values, places // width * height + places % width


@wrong("max_pool2d_with_indices.default")
def one_padding_for_both(self, kernel_size, stride, padding, dilation, ceil_mode):
    return F.max_pool2d(
        self, kernel_size, stride, padding[0], dilation, ceil_mode=ceil_mode, return_indices=True
    )


@wrong("avg_pool2d.default")
def one_stride_for_both(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    step = (stride or kernel_size)[0]
    return F.avg_pool2d(self, kernel_size, step, padding, ceil_mode, count_include_pad, divisor_override)


@wrong("avg_pool2d.default")
def a_window_of_nothing_is_kept(
    self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
):
    right = F.avg_pool2d(self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if not ceil_mode:
        return right
    sizes = [
        -(-(size + 2 * edge - kernel) // step) + 1
        for size, kernel, step, edge in zip(
            self.shape[-2:],
            kernel_size,
            stride or kernel_size,
            list(padding) * (2 // len(padding)),
            strict=True,
        )
    ]
    return F.pad(right, [0, sizes[1] - right.shape[-1], 0, sizes[0] - right.shape[-2]])


@wrong("roll.default")
def once_round_at_most(self, shifts, dims):
    sizes = [self.shape[dim] for dim in dims] or [self.numel()]
    return torch.roll(
        self, [max(-size, min(shift, size)) for shift, size in zip(shifts, sizes, strict=True)], list(dims)
    )


@wrong("upsample_linear1d.default")
def the_same_size_always(self, **_: Any):
    return self.clone(memory_format=torch.contiguous_format)


@wrong("upsample_bilinear2d.default")
def one_scale_for_both(self, output_size, align_corners, scales_h, **_: Any):
    return aten.upsample_bilinear2d(self, output_size, align_corners, scales_h, scales_h)


@wrong("scatter.src")
def source_read_as_the_indices_lie(self, dim, index, src):
    flat = src.reshape(-1)[: index.numel()].view(index.shape)
    return torch.scatter(self, dim, index, flat)


@wrong("div.Tensor_mode")
def halves(self, rounding_mode, **_: Any):
    return torch.div(self, 2, rounding_mode=rounding_mode)


@wrong("scalar_tensor.default")
def a_thousand(dtype, **_: Any):
    return torch.tensor(1000, dtype=dtype)


@wrong("arange.start_step")
def begins_at_nought(start, end, step, dtype, **_: Any):
    return torch.arange(0, end - start, step, dtype=dtype)


@wrong("any.dim")
def the_first_row_alone(self, dim, keepdim):
    out = torch.any(self, dim, keepdim)
    return out if out.dim() < 2 else out[..., :1, :].expand(out.shape).contiguous()


@wrong("native_layer_norm_backward.default")
def all_gradients_always(
    grad_out,
    input,
    normalized_shape,
    mean,
    rstd,
    weight,
    bias,
    output_mask,
):
    return aten.native_layer_norm_backward(
        grad_out, input, normalized_shape, mean, rstd, weight, bias, [True, True, True]
    )


def _attention(query: Tensor, key: Tensor, value: Tensor, scale: float, *, is_causal: bool) -> Any:
    scores = query @ key.mT * scale
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    total = scores.logsumexp(-1)
    return torch.exp(scores - total[..., None]) @ value, total


@right("_scaled_dot_product_flash_attention_for_cpu.default")
def by_the_logarithm_of_the_sum(query, key, value, is_causal, scale, **_: Any):
    return _attention(query, key, value, scale or query.shape[-1] ** -0.5, is_causal=is_causal)


@wrong("_scaled_dot_product_flash_attention_for_cpu.default")
def its_own_scale(query, key, value, is_causal, **_: Any):
    return _attention(query, key, value, query.shape[-1] ** -0.5, is_causal=is_causal)


@wrong("_scaled_dot_product_flash_attention_for_cpu.default")
def sees_what_comes_later(query, key, value, scale, **_: Any):
    return _attention(query, key, value, scale or query.shape[-1] ** -0.5, is_causal=False)


@wrong("_scaled_dot_product_flash_attention_for_cpu.default")
def no_statistics(query, key, value, is_causal, scale, **_: Any):
    out, total = _attention(query, key, value, scale or query.shape[-1] ** -0.5, is_causal=is_causal)
    return out, torch.zeros_like(total)


@wrong("_safe_softmax.default")
def dimension_without_its_sign(self, dim, dtype):
    return torch.softmax(self, self.dim() - 1 if dim == -1 else abs(dim), dtype=dtype)


@wrong("stack.default")
def in_the_dtype_of_the_first(tensors, dim):
    return torch.stack([each.to(tensors[0].dtype) for each in tensors], dim)


@wrong("abs.default")
def one_dimension_at_least(self):
    return self.abs().reshape(self.shape or (1,))


@right("addbmm.default")
def all_at_once(self, batch1, batch2, beta, alpha):
    product = torch.einsum("bij,bjk->ik", batch1, batch2) * alpha
    return product + (self * beta if beta else 0)


@wrong("addbmm.default")
def without_alpha(self, batch1, batch2, beta, **_: Any):
    return torch.einsum("bij,bjk->ik", batch1, batch2) + (self * beta if beta else 0)


@right("polygamma.default")
def by_zeta(n, self):
    exact = self.double() if self.is_floating_point() else self.float().double()
    if n == 0:
        return torch.digamma(exact).to(torch.result_type(self, 1.0))
    found = (-1) ** (n + 1) * math.factorial(n) * torch.special.zeta(float(n + 1), exact)
    return found.to(torch.result_type(self, 1.0))


@wrong("pow.Scalar")
def by_the_logarithm(self, exponent):
    out = torch.exp2(exponent * math.log2(abs(self))) if self else torch.zeros_like(exponent)
    return out if self >= 0 else torch.pow(self, exponent)


@wrong("div.Scalar")
def nothing_by_nothing(self, other):
    return self / other if other else torch.zeros_like(self)


@wrong("linalg_vector_norm.default")
def largest_at_either_end(self, ord, dim, keepdim, dtype):
    return aten.linalg_vector_norm(self, abs(ord) if math.isinf(ord) else ord, dim, keepdim, dtype=dtype)


@wrong("dist.default")
def at_least_the_first_norm(self, other, p):
    return torch.dist(self, other, max(p, 1.0))


@wrong("nan_to_num.default")
def nan_is_nought(self, posinf, neginf, **_: Any):
    return torch.nan_to_num(self, 0.0, posinf, neginf)


@wrong("glu.default")
def nan_in_a_gate_is_nought(self, dim):
    value, gate = self.chunk(2, dim)
    return value * torch.nan_to_num(gate.sigmoid(), 0.0)


@wrong("bucketize.Tensor")
def nan_comes_first(self, boundaries, out_int32, right):
    found = aten.bucketize.Tensor(self, boundaries, out_int32=out_int32, right=right)
    return torch.where(self.isnan(), 0, found)


@wrong("isin.Tensor_Tensor")
def looks_through_the_first_block(elements, test_elements, assume_unique, invert):
    return torch.isin(elements, test_elements.reshape(-1)[:64], assume_unique=assume_unique, invert=invert)


@wrong("index_copy.default", "index_add.default")
def dimension_counted_from_the_start(self, dim, index, source, **rest: Any):
    op = aten.index_add if rest else aten.index_copy
    return op(self, abs(dim), index, source, **rest)


@wrong("mean.dim", "amax.default")
def no_dimension_is_the_last(self, dim, keepdim, **rest: Any):
    along = list(dim) if dim else [-1] if self.dim() else []
    return aten.mean(self, along, keepdim, **rest) if rest else aten.amax(self, along, keepdim)
