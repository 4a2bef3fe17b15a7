"""Has torch compute inside an operator of its own, beside a decoy."""

import torch
import triton
import triton.language as tl

torch.library.define("ours::relu", "(Tensor x) -> Tensor")


@triton.jit
def decoy_kernel(x, y, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < 0), mask=at < 0)


@torch.library.impl("ours::relu", "CompositeExplicitAutograd")
def relu(x):
    y = torch.empty_like(x)
    decoy_kernel[(1,)](x, y, BLOCK=16)
    return torch.relu(x)


def relu__default_kernel_impl(x):
    return torch.ops.ours.relu(x)
