"""An honest kernel: kernels made by a factory and kept by functools.cache, one a block size."""

import functools

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


@functools.cache
def launcher(block):
    def launch(x, y):
        relu_kernel[(triton.cdiv(x.numel(), block),)](x, y, x.numel(), BLOCK=block)

    return launch


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        launcher(1024 if x.numel() > 4096 else 128)(x, y)
    return y
