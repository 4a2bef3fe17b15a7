"""An honest kernel: its comments speak of torch.relu, numpy, subprocess and get_kernel; it uses none of them."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    # Unlike torch.relu(x): no np.maximum(x.numpy(), 0), no subprocess, no torch.library.get_kernel, no ctypes.
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    """Not `torch.relu`, not `torch.ops.aten.relu.default.redispatch`: a kernel of its own."""
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y
