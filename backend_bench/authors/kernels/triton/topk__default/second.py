"""The k largest or smallest by repeated search in pieces of a row, then among the pieces' winners."""

import torch
import triton
import triton.language as tl

PIECE = 2048


@triton.jit
def order(value, KIND: tl.constexpr, LARGEST: tl.constexpr):
    """An int64 that sorts as the value does; NaN above all, as torch has it."""
    if KIND == "int":
        key = value.to(tl.int64)
    else:
        if KIND == "double":
            bits = value.to(tl.int64, bitcast=True)
            key = tl.where(bits < 0, bits ^ 0x7FFFFFFFFFFFFFFF, bits)
        else:
            bits = value.to(tl.float32).to(tl.int32, bitcast=True)
            key = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)
        key = tl.where(value != value, 0x7FFFFFFFFFFFFFFF, key)
    return key if LARGEST else ~key


@triton.jit
def topk_kernel(
    x, candidates, values, indices, length, count, k,
    KIND: tl.constexpr, LARGEST: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    if FIRST:
        index = tl.where(at < count, at, -1).to(tl.int64)
    else:
        index = tl.load(candidates + row * count + at, mask=at < count, other=-1)
    alive = index >= 0
    key = order(tl.load(x + row * length + index, mask=alive, other=0), KIND, LARGEST)
    place = (row * tl.num_programs(1) + tl.program_id(1)) * k
    for turn in range(k):
        best = tl.max(tl.where(alive, key, -0x8000000000000000), 0)
        chosen = tl.min(tl.where(alive & (key == best), index, 0x7FFFFFFFFFFFFFFF), 0)
        found = chosen < length
        tl.store(indices + place + turn, tl.where(found, chosen, -1))
        if LAST:
            tl.store(values + place + turn, tl.load(x + row * length + chosen, mask=found, other=0))
        alive = alive & (index != chosen)


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    rows = (x.movedim(dim, -1) if x.dim() else x.reshape(1)).contiguous()
    length = count = rows.shape[-1]
    shape = (*rows.shape[:-1], k)
    values = torch.empty(shape, dtype=x.dtype, device=x.device)
    indices = torch.empty(shape, dtype=torch.int64, device=x.device)
    if values.numel():
        kind = "double" if x.dtype == torch.float64 else "single" if x.is_floating_point() else "int"
        height = values.numel() // k
        candidates, first, last = indices, True, False
        while not last:
            block = min(triton.next_power_of_2(count), max(PIECE, triton.next_power_of_2(2 * k)))
            pieces = triton.cdiv(count, block)
            last = pieces == 1
            into = indices if last else torch.empty((height, pieces, k), dtype=torch.int64, device=x.device)
            topk_kernel[(height, pieces)](
                rows, candidates, values, into, length, count, k, kind, largest, first, last, block
            )
            candidates, count, first = into, pieces * k, False
    if not x.dim():
        return values.reshape(()), indices.reshape(())
    return values.movedim(-1, dim).contiguous(), indices.movedim(-1, dim).contiguous()
