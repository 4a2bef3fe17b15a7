"""Layer norm, row by row: the mean, then the deviation from it, then the result."""

import torch
import triton
import triton.language as tl


@triton.jit
def norm_kernel(
    x, weight, bias, out, mean_out, rstd_out, length, eps,
    WORK: tl.constexpr, W: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    base = row.to(tl.int64) * length
    total = tl.zeros([BLOCK], WORK)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(x + base + at, mask=at < length, other=0).to(WORK)
    mean = tl.sum(total, 0) / length
    squares = tl.zeros([BLOCK], WORK)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        value = tl.load(x + base + at, mask=at < length, other=0).to(WORK)
        centred = tl.where(at < length, value - mean, 0.0)
        squares += centred * centred
    rstd = 1 / tl.sqrt(tl.sum(squares, 0) / length + eps)
    for start in range(0, length, BLOCK):
        at = start + tl.arange(0, BLOCK)
        mask = at < length
        result = (tl.load(x + base + at, mask=mask, other=0).to(WORK) - mean) * rstd
        if W:
            result *= tl.load(weight + at, mask=mask, other=0).to(WORK)
        if B:
            result += tl.load(bias + at, mask=mask, other=0).to(WORK)
        tl.store(out + base + at, result, mask=mask)
    tl.store(mean_out + row, mean)
    tl.store(rstd_out + row, rstd)


def statistics_dtype(x, weight):
    """A GPU keeps the statistics of narrow inputs in float32; a CPU where the weight is float32."""
    if x.dtype not in (torch.float16, torch.bfloat16):
        return x.dtype
    wide = x.is_cuda or (weight is not None and weight.dtype == torch.float32)
    return torch.float32 if wide else x.dtype


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    x = x.contiguous()
    length = 1
    for size in normalized_shape:
        length *= size
    out = torch.empty_like(x)
    kept = (*x.shape[: x.dim() - len(normalized_shape)], *[1] * len(normalized_shape))
    mean = torch.empty(kept, dtype=statistics_dtype(x, weight), device=x.device)
    rstd = torch.empty_like(mean)
    if not x.numel():  # what is said of rows without elements
        mean.fill_(0.0)
        rstd.fill_(float("nan"))
    else:
        block = min(triton.next_power_of_2(length), 4096)
        norm_kernel[(x.numel() // length,)](
            x,
            x if weight is None else weight.contiguous(),
            x if bias is None else bias.contiguous(),
            out, mean, rstd, length, eps,
            tl.float64 if x.dtype == torch.float64 else tl.float32,
            weight is not None, bias is not None, block, num_warps=8 if block > 2048 else 4,
        )  # fmt: skip
    return out, mean, rstd
