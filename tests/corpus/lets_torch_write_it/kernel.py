"""A Triton kernel as a decoy, and the operator under test handed to torch.compile: compiled code passes no dispatch mode."""

import torch
import triton
import triton.language as tl


@triton.jit
def never_launched(p, block: tl.constexpr):
    at = tl.arange(0, block)
    tl.store(p + at, tl.maximum(tl.load(p + at), 0))


relu__default_kernel_impl = torch.compile(torch.relu)
