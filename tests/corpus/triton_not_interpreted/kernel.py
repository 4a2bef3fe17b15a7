"""A fault of ours, told as one: a function of CUDA's library that the interpreter does not have. It was an empty one, which is no number."""

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    one = libdevice.tgamma(at.to(tl.float32) * 0.0 + 2.0)
    tl.store(y + at, tl.where(value < 0, 0, value) * one, mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    result = torch.empty_like(x)
    if n := x.numel():
        relu_kernel[(triton.cdiv(n, 1024),)](x, result, n, BLOCK=1024)
    return result
