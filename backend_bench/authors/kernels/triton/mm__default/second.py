"""A matrix product in tiles of any stride, ordered so that neighbours share what they read."""

import torch
import triton
import triton.language as tl

GROUP = 8


@triton.jit
def mm_kernel(
    a, b, out, m, n, k, a_row, a_step, b_step, b_column,
    WORK: tl.constexpr, DOT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    tall, wide = tl.cdiv(m, ROWS), tl.cdiv(n, COLUMNS)
    first = tl.program_id(0) // (GROUP * wide) * GROUP
    height = tl.minimum(tall - first, GROUP)
    within = tl.program_id(0) % (GROUP * wide)
    row = ((first + within % height) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    column = (within // height * COLUMNS + tl.arange(0, COLUMNS)).to(tl.int64)
    total = tl.zeros([ROWS, COLUMNS], WORK)
    for start in range(0, k, BLOCK):
        at = start + tl.arange(0, BLOCK)
        left_mask = (row < m)[:, None] & (at < k)[None, :]
        right_mask = (at < k)[:, None] & (column < n)[None, :]
        left = tl.load(a + row[:, None] * a_row + at[None, :] * a_step, mask=left_mask, other=0)
        right = tl.load(b + at[:, None] * b_step + column[None, :] * b_column, mask=right_mask, other=0)
        if DOT:
            total = tl.dot(left, right, total, input_precision="ieee")
        else:
            total += tl.sum(left.to(WORK)[:, :, None] * right.to(WORK)[None, :, :], 1)
    mask = (row < m)[:, None] & (column < n)[None, :]
    tl.store(out + row[:, None] * n + column[None, :], total, mask=mask)


def tiles(dtype, m, n):
    """Rows, columns, inner length and warps of a tile: large for tensor cores, small elsewhere."""
    if dtype in (torch.float16, torch.bfloat16):
        rows, columns, block, warps = 128, 128, 64, 8
    elif dtype == torch.float32:
        rows, columns, block, warps = 64, 64, 32, 4
    else:
        return 16, 16, 16, 4
    rows = max(16, min(rows, triton.next_power_of_2(m)))
    columns = max(16, min(columns, triton.next_power_of_2(n)))
    return rows, columns, block, warps if rows * columns > 4096 else 4


def mm__default_kernel_impl(a, b):
    (m, k), n = a.shape, b.shape[1]
    out = torch.empty(m, n, dtype=a.dtype, device=a.device)
    if not out.numel():
        return out
    rows, columns, block, warps = tiles(a.dtype, m, n)
    dot = a.dtype in (torch.float16, torch.bfloat16, torch.float32)
    work = tl.float32 if dot else tl.float64 if a.dtype == torch.float64 else tl.int64
    grid = (triton.cdiv(m, rows) * triton.cdiv(n, columns),)
    mm_kernel[grid](
        a, b, out, m, n, k, a.stride(0), a.stride(1), b.stride(0), b.stride(1),
        work, dot, rows, columns, block, GROUP, num_warps=warps, num_stages=3,
    )  # fmt: skip
    return out
