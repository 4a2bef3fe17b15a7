"""An honest kernel: relu by way of CUDA's library of functions, each of which has to be right for the result to be."""

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    count = (at % 100).to(tl.float32)
    nothing = libdevice.fmod(count, 7.0) - (count - 7.0 * libdevice.floor(count / 7.0))
    nothing += libdevice.rint(count + 0.25) - count
    nothing += libdevice.rint(0 * count + 2.5) - 2.0
    nothing += libdevice.round(0 * count + 2.5) - 3.0
    nothing += libdevice.round(0 * count - 2.5) + 3.0
    nothing += libdevice.copysign(count, 0 * count - 1.0) + count
    nothing += libdevice.pow(0 * count + 2.0, 3.0) - 8.0
    nothing += libdevice.hypot(0 * count + 3.0, 0 * count + 4.0) - 5.0
    nothing += libdevice.div_rn(count, 0 * count + 2.0) - 0.5 * count
    nothing += libdevice.ldexp(count, 0 * at + 3) - 8.0 * count
    nothing += libdevice.atan2(0 * count, count + 1.0)
    nothing += libdevice.pow(at % 100 + 1, 0 * count + 0.5) - tl.sqrt(count + 1.0)
    nothing += libdevice.fdim(count * 0 + float("inf"), count * 0 + float("inf"))
    square = libdevice.hypot(tl.arange(0, 16)[:, None] * 0.0, tl.arange(0, 16)[None, :] * 1.0)
    nothing += tl.sum(tl.reshape(square, (256,)), 0) - 1920.0
    nothing += tl.where(libdevice.isnan(count * float("nan")), 0.0, 1.0)
    nothing += tl.where(libdevice.isinf(count), 1.0, 0.0)
    nothing += tl.where(libdevice.signbit(-count - 1.0) != 0, 0.0, 1.0)
    nothing += tl.where(libdevice.signbit(count) != 0, 1.0, 0.0)
    nothing += libdevice.fma(count, 0 * count + 2.0, 0 * count + 1.0) - (2.0 * count + 1.0)
    nothing += libdevice.remainder(0 * count + 5.0, 0 * count + 3.0) + 1.0
    nothing += libdevice.sqrt_rn(count * count) - count
    tl.store(y + at, tl.where((value <= 0) & (tl.abs(nothing) < 1e-4), 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu_kernel[(triton.cdiv(n, 512),)](x, y, n, BLOCK=512)
    return y
