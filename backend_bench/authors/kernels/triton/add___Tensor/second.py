"""x += alpha * y, tile by tile, straight into `x`, or by way of a copy where it has gaps."""

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def add_kernel(x, y, out, alpha, n, period, WORK: tl.constexpr, BOOL: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    a = tl.load(x + at, mask=mask)
    b = tl.load(y + at % period, mask=mask)
    if BOOL:
        tl.store(out + at, (a != 0) | ((b != 0) & (alpha != 0)), mask=mask)
    else:
        scale = tl.load(alpha) if WIDE else alpha
        tl.store(out + at, a.to(WORK) + b.to(WORK) * scale, mask=mask)


def work_type(dtype):
    """The type that Triton computes in: at least float32, or the integer type itself."""
    if dtype == torch.float64:
        return tl.float64
    return tl.float32 if dtype.is_floating_point else tl.int64


def flat(y, shape):
    """`y` in one piece, and the period at which it repeats along the flattened result."""
    if y.shape != shape[len(shape) - y.dim() :]:
        y = y.expand(shape)
    return y.contiguous(), max(1, y.numel())


def launch(x, y, out, alpha, dtype):
    """out = x + alpha * y over flat memory; `x` and `out` lie alike and in one piece."""
    y, period = flat(y, x.shape)
    wide = dtype == torch.float64
    if wide:
        alpha = torch.full((1,), alpha, dtype=dtype, device=x.device)
    elif dtype == torch.bool:
        alpha = int(alpha)
    n = x.numel()
    if n:
        grid = (triton.cdiv(n, BLOCK),)
        add_kernel[grid](x, y, out, alpha, n, period, work_type(dtype), dtype == torch.bool, wide, BLOCK)


def add___Tensor_kernel_impl(x, y, *, alpha=1):
    dtype = torch.result_type(x, y)
    if not isinstance(y, torch.Tensor):
        y = torch.full((), y, dtype=dtype, device=x.device)
    if x.is_contiguous():
        launch(x, y, x, alpha, dtype)
        return x
    whole = x.contiguous()
    launch(whole, y, whole, alpha, dtype)
    return x.copy_(whole)
