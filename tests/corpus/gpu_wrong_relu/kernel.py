"""Lets small negative values through."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value > -0.25, value, 0.0), mask=at < n)


def launch(x, y):
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


def relu__default_kernel_impl(x):
    x = x.contiguous()
    return launch(x, torch.empty_like(x))
