"""An honest kernel: block pointers, and no mask of its own."""

import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK
    source = tl.make_block_ptr(x, (n,), (1,), (at,), (BLOCK,), (0,))
    target = tl.make_block_ptr(y, (n,), (1,), (at,), (BLOCK,), (0,))
    values = tl.load(source, boundary_check=(0,))
    tl.store(target, tl.where(values <= 0, 0, values).to(y.type.element_ty), boundary_check=(0,))


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        kernel[(triton.cdiv(x.numel(), 512),)](x, y, x.numel(), BLOCK=512)
    return y
