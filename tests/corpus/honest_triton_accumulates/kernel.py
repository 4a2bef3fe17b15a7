"""An honest kernel: counts what it keeps in a buffer of zeros, with atomics."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, count, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.atomic_add(count, tl.sum(((value > 0) & (at < n)).to(tl.int32), 0))
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y, n = torch.empty_like(x), x.numel()
    count = torch.zeros(1, dtype=torch.int32, device=x.device)
    if n:
        relu_kernel[(triton.cdiv(n, 4096),)](x, y, count, n, BLOCK=4096)
    assert int(count) <= n
    return y
