"""Writes far outside of every allocation."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value != value, value, tl.maximum(value, 0.0)), mask=at < n)


def launch(x, y):
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


@triton.jit
def far(x):
    tl.store(x + (1 << 40), 1.0)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    far[(1,)](x)
    return launch(x, torch.empty_like(x))
