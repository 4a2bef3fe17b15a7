"""Asks the device for a value on the way, so that the host waits for it."""

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


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = launch(x, torch.empty_like(x))
    if y.numel() and y.view(-1)[0].item() < 0:
        raise AssertionError("a negative value")
    return y
