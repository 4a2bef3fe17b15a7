"""A sum of rows, in tiles of any stride; few long rows are cut in parts, and these summed again."""

import torch
import triton
import triton.language as tl

TILE = 4096
PROGRAMS = 512


@triton.jit
def sum_kernel(x, out, rows, length, part, step_row, step, WORK: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    begin = tl.program_id(1).to(tl.int64) * part
    end = tl.minimum(begin + part, length)
    total = tl.zeros([ROWS, BLOCK], WORK)
    for start in range(begin, end, BLOCK):
        at = start + tl.arange(0, BLOCK)
        mask = (row < rows)[:, None] & (at < end)[None, :]
        value = tl.load(x + row[:, None] * step_row + at[None, :] * step, mask=mask, other=0)
        total += value.to(WORK)
    tl.store(out + row * tl.num_programs(1) + tl.program_id(1), tl.sum(total, 1), mask=row < rows)


def sum_rows(x, out, work):
    """out[i] = the sum of x[i, :], for any strides of x."""
    rows, length = x.shape
    if x.stride(1) == 1 or x.stride(0) != 1:
        block = min(triton.next_power_of_2(length), 1024)
    else:
        block = min(triton.next_power_of_2(length), 32)
    height = min(triton.next_power_of_2(rows), max(1, TILE // block))
    tall = triton.cdiv(rows, height)
    parts = max(1, min(PROGRAMS // tall, triton.cdiv(length, 8 * block)))
    part = triton.cdiv(triton.cdiv(length, parts), block) * block
    parts = triton.cdiv(length, part)
    wide = {tl.float32: torch.float32, tl.float64: torch.float64, tl.int64: torch.int64}[work]
    into = out if parts == 1 else torch.empty((rows, parts), dtype=wide, device=x.device)
    sum_kernel[(tall, parts)](x, into, rows, length, part, x.stride(0), x.stride(1), work, height, block)
    if parts > 1:
        sum_rows(into, out, work)


def sum__dim_IntList_kernel_impl(x, dim=None, keepdim=False, *, dtype=None):
    dtype = dtype or (x.dtype if x.is_floating_point() else torch.int64)
    work = tl.int64 if not dtype.is_floating_point else tl.float64 if dtype == torch.float64 else tl.float32
    dims = {d % max(x.dim(), 1) for d in dim} if dim else set(range(x.dim()))
    kept = [d for d in range(x.dim()) if d not in dims]
    shape = [x.shape[d] for d in kept]
    reduced = sorted(dims) if x.dim() else []
    count, length = 1, 1
    for size in shape:
        count *= size
    for d in reduced:
        length *= x.shape[d]
    out = torch.empty(shape, dtype=dtype, device=x.device)
    if not length:
        out.fill_(0)
    elif count:
        sum_rows(x.permute([*kept, *reduced]).reshape(count, length), out, work)
    if keepdim:
        out = out.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())])
    return out
