"""An honest kernel: works on a flat copy and gives its result the shape of the input by `reshape_as`, which only looks like work."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value < 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    flat = x.detach_().contiguous().flatten()
    result = torch.empty_like(flat)
    if n := flat.numel():
        relu_kernel[(triton.cdiv(n, 1024),)](flat, result, n, BLOCK=1024)
    return result.reshape_as(x)
