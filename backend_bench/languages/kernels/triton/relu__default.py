"""relu, tile by tile over the memory as it lies; NaN is not below zero, so it stays."""

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def relu_kernel(x, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    value = tl.load(x + at, mask=mask)
    tl.store(out + at, tl.where(value <= 0, 0, value), mask=mask)


def relu__default_kernel_impl(x):
    out = torch.empty_like(x)
    if out.stride() != x.stride():  # gaps or overlaps: not one dense piece of memory
        x, out = x.contiguous(), torch.empty(x.shape, dtype=x.dtype, device=x.device)
    n = x.numel()
    if n:
        relu_kernel[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK)
    return out
