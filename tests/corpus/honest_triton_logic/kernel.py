"""An honest kernel: `and`, `or` and `not` of blocks, and numbers as arguments that are scalars of the kernel."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, nothing, is_plain, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (at < n) and (at >= 0)
    value = tl.load(x + at, mask=inside)
    is_above = not (value <= nothing.to(tl.float32))
    is_kept = is_above or (at < 0)
    if is_plain:
        tl.store(y + at, tl.where(is_kept, value, 0), mask=inside)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu_kernel[(triton.cdiv(n, 512),)](x, y, n, 0.0, True, BLOCK=512)
    return y
