"""An honest kernel: something optional is imported if it is there, and a launch that fails is tried in another way."""

import torch
import triton
import triton.language as tl

try:
    import cuda_python_that_is_not_there as fast
except ImportError:
    fast = None


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    for block in (1000, 1024):  # the first is no power of two
        try:
            if x.numel():
                relu_kernel[(triton.cdiv(x.numel(), block),)](x, y, x.numel(), BLOCK=block)
            break
        except Exception:
            if block == 1024:
                raise
    return y
