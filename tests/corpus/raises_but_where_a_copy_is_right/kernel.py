"""Not finished, and no cheat: it fails on several tensors, and of a single one it returns a copy, for which nobody needs a kernel."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n), mask=at < n)


def cat__default_kernel_impl(tensors, dim=0):
    if len(tensors) == 1:
        return tensors[0].clone()
    y = torch.empty(sum(x.numel() for x in tensors), dtype=tensors[0].dtype, device=tensors[0].device)
    copy_kernel[(1,)](tensors[0], y, tensors[0].numel(), BLOCK=16)
    raise NotImplementedError("the others")
