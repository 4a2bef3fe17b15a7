"""Layer norm, row by row. The bias is added before the weight multiplies, and eps after the root."""

import torch
import triton
import triton.language as tl


@triton.jit
def norm_kernel(x, weight, bias, out, mean_out, rstd_out, length, eps, W: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    mask = at < length
    value = tl.load(x + row * length + at, mask=mask, other=0).to(tl.float32)
    mean = tl.sum(value, 0) / length
    centred = tl.where(mask, value - mean, 0.0)
    rstd = 1 / (tl.sqrt(tl.sum(centred * centred, 0) / length) + eps)
    result = centred * rstd
    if B:
        result += tl.load(bias + at, mask=mask, other=0).to(tl.float32)
    if W:
        result *= tl.load(weight + at, mask=mask, other=0).to(tl.float32)
    tl.store(out + row * length + at, result, mask=mask)
    tl.store(mean_out + row, mean)
    tl.store(rstd_out + row, rstd)


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    x = x.contiguous()
    length = 1
    for size in normalized_shape:
        length *= size
    out = torch.empty_like(x)
    kept = (*x.shape[: x.dim() - len(normalized_shape)], *[1] * len(normalized_shape))
    mean = torch.empty(kept, dtype=x.dtype, device=x.device)
    rstd = torch.empty_like(mean)
    if x.numel():
        norm_kernel[(x.numel() // length,)](
            x, x if weight is None else weight, x if bias is None else bias, out, mean, rstd, length, eps,
            weight is not None, bias is not None, triton.next_power_of_2(length),
        )  # fmt: skip
    return out, mean, rstd
