"""Keeps a workspace between calls, and goes through it."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def launch(x, y):
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


WORKSPACE = {}


def relu__default_kernel_impl(x):
    x = x.contiguous()
    key = x.numel(), x.dtype
    if key not in WORKSPACE:
        WORKSPACE[key] = torch.empty_like(x)
    room = launch(x, WORKSPACE[key].view(x.shape))
    return launch(room, torch.empty_like(x))
