"""Splits the rows among threads and waits for all of them."""

from concurrent.futures import ThreadPoolExecutor

import torch

POOL = ThreadPoolExecutor(2)


def relu__default_kernel_impl(x):
    y = torch.empty_like(x)
    if x.dim() == 0 or x.shape[0] < 2:
        return y.copy_(torch.clamp_min(x, 0))
    work = [POOL.submit(torch.clamp_min, part, 0) for part in x.chunk(2)]
    torch.cat([done.result() for done in work], out=y)
    return y
