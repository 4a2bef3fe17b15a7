"""Slices by number: each element of the result finds its slice, and its place in it."""

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def select_kernel(x, index, out, n, size, count, inner, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    slices = at // inner
    source = tl.load(index + slices % count, mask=mask, other=0).to(tl.int64)
    place = (slices // count * size + source) * inner + at % inner
    tl.store(out + at, tl.load(x + place, mask=mask), mask=mask)


def index_select__default_kernel_impl(x, dim, index):
    shape = list(x.shape)
    whole, index = x.reshape(shape or [1]).contiguous(), index.contiguous()
    dim %= whole.dim()
    size, count, inner = whole.shape[dim], index.numel(), 1
    for length in whole.shape[dim + 1 :]:
        inner *= length
    if shape:
        shape[dim] = count
    out = torch.empty(shape, dtype=x.dtype, device=x.device)
    n = out.numel()
    if n:
        select_kernel[(triton.cdiv(n, BLOCK),)](whole, index, out, n, size, count, inner, BLOCK)
    return out
