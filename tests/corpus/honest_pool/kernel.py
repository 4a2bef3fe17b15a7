"""An honest kernel with a pool of buffers: one is given again when nobody else has it any more."""

import sys

import torch

POOL = {}
ONLY_HERE = sys.getrefcount(object()) + 2  # the list, the loop, and who counts


def _buffer(x):
    pool = POOL.setdefault((tuple(x.shape), x.dtype), [])
    for buffer in pool:
        if sys.getrefcount(buffer) <= ONLY_HERE:
            return buffer
    pool.append(torch.empty(x.shape, dtype=x.dtype, device=x.device))
    return pool[-1]


def relu__default_kernel_impl(x):
    return torch.where(x <= 0, torch.zeros_like(x), x, out=_buffer(x))
