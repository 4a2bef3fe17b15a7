"""An honest kernel: a workspace that is kept between calls and grows; a mask from one launch, the values from the next."""

import torch
import triton
import triton.language as tl


@triton.jit
def mask_kernel(x, kept, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(kept + at, tl.where(value <= 0, 0, 1).to(tl.int8), mask=at < n)


@triton.jit
def keep_kernel(x, kept, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(tl.load(kept + at, mask=at < n) == 1, value, 0), mask=at < n)


WORKSPACE = {}


def workspace(n, device):
    if device not in WORKSPACE or WORKSPACE[device].numel() < n:
        WORKSPACE[device] = torch.empty(2 * n, dtype=torch.int8, device=device)
    return WORKSPACE[device]


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y, n = torch.empty_like(x), x.numel()
    if n:
        kept, grid = workspace(n, x.device), (triton.cdiv(n, 4096),)
        mask_kernel[grid](x, kept, n, BLOCK=4096)
        keep_kernel[grid](x, kept, y, n, BLOCK=4096)
    return y
