"""An honest kernel: works in the memory of its first argument, through a contiguous copy where it must."""

import torch
import triton
import triton.language as tl


@triton.jit
def add_kernel(x, y, n, alpha, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    tl.store(x + at, tl.load(x + at, mask=mask) + alpha * tl.load(y + at, mask=mask), mask=mask)


def add___Tensor_kernel_impl(x, other, *, alpha=1):
    n = x.numel()
    if not isinstance(other, torch.Tensor):
        other = torch.full((), other, dtype=x.dtype, device=x.device)
    if n:
        other = other.to(x.dtype).expand(x.shape).contiguous()
        work = x.contiguous()
        add_kernel[(triton.cdiv(n, 4096),)](work, other, n, alpha, BLOCK=4096)
        if work.data_ptr() != x.data_ptr() or not x.is_contiguous():
            x.copy_(work)
    return x
