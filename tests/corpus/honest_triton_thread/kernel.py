"""An honest kernel: launched from a thread that is joined."""

from concurrent.futures import ThreadPoolExecutor

import torch
import triton
import triton.language as tl

POOL = ThreadPoolExecutor(1)


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        grid = (triton.cdiv(x.numel(), 1024),)
        POOL.submit(lambda: relu_kernel[grid](x, y, x.numel(), BLOCK=1024)).result()
    return y
