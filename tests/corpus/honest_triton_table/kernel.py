"""An honest kernel: a global table of block sizes, one of them a tensor, read on the host."""

import torch
import triton
import triton.language as tl

BLOCKS = torch.tensor([64, 256, 1024])
LIMITS = {64: 1 << 8, 256: 1 << 12, 1024: 1 << 62}


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    block = next(b for b in BLOCKS.tolist() if x.numel() <= LIMITS[b])
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), block),)](x, y, x.numel(), BLOCK=block)
    return y
