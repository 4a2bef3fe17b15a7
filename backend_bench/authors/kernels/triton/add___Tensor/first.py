"""x += alpha * y. The result goes to a new tensor; `x` stays as it was."""

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def add_kernel(x, y, out, alpha, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    tl.store(out + at, tl.load(x + at, mask=mask) + tl.load(y + at, mask=mask) * alpha, mask=mask)


def add___Tensor_kernel_impl(x, y, *, alpha=1):
    if not isinstance(y, torch.Tensor):
        y = torch.full((), y, dtype=x.dtype, device=x.device)
    x, y = x.contiguous(), y.expand(x.shape).contiguous()
    out = torch.empty_like(x)
    n = out.numel()
    if n:
        add_kernel[(triton.cdiv(n, BLOCK),)](x, y, out, alpha, n, BLOCK)
    return out
