"""Registers an operator of its own with torch, which can be done once in a process."""

import torch
import triton
import triton.language as tl

torch.library.define("ours::relu", "(Tensor x) -> Tensor")


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


@torch.library.impl("ours::relu", "cuda")
def relu(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


def relu__default_kernel_impl(x):
    return torch.ops.ours.relu(x)
