"""An honest kernel: two launches, the second on what the first one wrote."""

import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x, y, n, alpha, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, alpha * tl.load(x + at, mask=at < n), mask=at < n)


@triton.jit
def add_kernel(x, y, z, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(z + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


def add__Tensor_kernel_impl(x, other, *, alpha=1):
    if not isinstance(other, torch.Tensor):
        other = torch.full((), other, dtype=torch.result_type(x, other), device=x.device)
    dtype = torch.result_type(x, other)
    left, right = torch.broadcast_tensors(x.to(dtype), other.to(dtype))
    result = torch.empty(left.shape, dtype=dtype, device=x.device)
    n = result.numel()
    if n:
        left, right = left.contiguous(), right.contiguous()
        scaled, grid = torch.empty_like(right), (triton.cdiv(n, 8192),)
        scale_kernel[grid](right, scaled, n, alpha, BLOCK=8192)
        add_kernel[grid](left, scaled, result, n, BLOCK=8192)
    return result
