"""The k largest by repeated search. They come smallest first, and `largest` is ignored."""

import torch
import triton
import triton.language as tl


@triton.jit
def topk_kernel(x, values, indices, length, k, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    left = tl.load(x + row * length + at, mask=at < length, other=-float("inf")).to(tl.float32)
    for turn in range(k):
        best = tl.argmax(left, 0)
        place = row * k + k - 1 - turn
        tl.store(values + place, tl.load(x + row * length + best))
        tl.store(indices + place, best.to(tl.int64))
        left = tl.where(at == best, -float("inf"), left)


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    rows = (x.movedim(dim, -1) if x.dim() else x.reshape(1)).contiguous()
    shape = (*rows.shape[:-1], k)
    values = torch.empty(shape, dtype=x.dtype, device=x.device)
    indices = torch.empty(shape, dtype=torch.int64, device=x.device)
    if values.numel():
        grid = (values.numel() // k,)
        topk_kernel[grid](rows, values, indices, rows.shape[-1], k, triton.next_power_of_2(rows.shape[-1]))
    if not x.dim():
        return values.reshape(()), indices.reshape(())
    return values.movedim(-1, dim).contiguous(), indices.movedim(-1, dim).contiguous()
