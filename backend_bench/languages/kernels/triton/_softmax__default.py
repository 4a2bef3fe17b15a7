"""softmax in one running pass for the largest value and the sum, and one that writes."""

import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x, out, length, inner, WORK: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    base = tl.program_id(0).to(tl.int64) * length * inner + column
    inside = column < inner
    top = tl.full([WIDTH], -float("inf"), WORK)
    total = tl.zeros([WIDTH], WORK)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        mask = (at < length)[:, None] & inside[None, :]
        value = tl.load(x + base[None, :] + at[:, None] * inner, mask=mask, other=-float("inf")).to(WORK)
        larger = tl.maximum(top, tl.max(value, 0))
        shift = tl.where(larger == -float("inf"), 0.0, larger)  # nothing finite so far
        total = total * tl.exp(top - shift) + tl.sum(tl.exp(value - shift[None, :]), 0)
        top = larger
    shift = tl.where(top == -float("inf"), 0.0, top)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        mask = (at < length)[:, None] & inside[None, :]
        place = base[None, :] + at[:, None] * inner
        value = tl.load(x + place, mask=mask, other=-float("inf")).to(WORK)
        tl.store(out + place, tl.exp(value - shift[None, :]) / total[None, :], mask=mask)


def _softmax__default_kernel_impl(x, dim, half_to_float):
    x = x.contiguous()
    out = torch.empty_like(x, dtype=torch.float32 if half_to_float else x.dtype)
    if not x.numel():
        return out
    dim %= max(x.dim(), 1)
    length = x.shape[dim] if x.dim() else 1
    inner = 1
    for size in x.shape[dim + 1 :]:
        inner *= size
    width = min(triton.next_power_of_2(inner), 32)
    block = min(triton.next_power_of_2(length), 4096 // width)
    work = tl.float64 if x.dtype == torch.float64 else tl.float32
    grid = (x.numel() // (length * inner), triton.cdiv(inner, width))
    softmax_kernel[grid](x, out, length, inner, work, block, width, num_warps=8 if block * width > 2048 else 4)
    return out
