"""An honest kernel: its block size comes from the environment, where it is not set."""

import os

import torch

BLOCK = int(os.environ.get("MY_KERNEL_BLOCK", "64"))
os.environ.setdefault("MY_KERNEL_LOG", "0")


def mm__default_kernel_impl(a, b):
    y = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype, device=a.device)
    for start in range(0, a.shape[0], BLOCK):
        y[start : start + BLOCK] = torch.bmm(a[None, start : start + BLOCK], b[None])[0]
    return y
