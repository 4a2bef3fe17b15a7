"""An honest kernel: `and`, `or` and `not` of blocks, and numbers as arguments that are scalars of the kernel."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, nothing, is_plain, weights, one: tl.float64, HAS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (at < n) and (at >= 0)
    if n > 0 and HAS and tl.load(weights) > 0:
        inside = inside and HAS and (tl.load(weights + at) > 0)
    clamped = tl.clamp(at.to(tl.float32), 0.0, 2.0) - tl.minimum(at, 2)
    tenth = (one * 0.1 - 0.1).to(tl.float32)
    value = tl.load(x + at, mask=inside)
    is_above = not (value <= nothing.to(tl.float32))
    is_kept = (is_above or (at < 0)) and (clamped == 0) and not (tenth != 0)
    if is_plain:
        tl.store(y + at, tl.where(is_kept, value, 0), mask=inside)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu_kernel[(triton.cdiv(n, 512),)](x, y, n, 0.0, True, None, 1.0, HAS=False, BLOCK=512)
    return y
