"""Prints megabytes on every call; the result is right, and the flood goes nowhere."""

import torch


def relu__default_kernel_impl(x):
    for _ in range(64):
        print("x" * (1 << 16))
    return torch.where(x > 0, x, torch.where(x != x, x, torch.zeros_like(x)))
