"""An honest kernel: other operators of PyTorch, NaN kept."""

import torch


def relu__default_kernel_impl(x):
    return torch.where(x > 0, x, torch.where(x != x, x, torch.zeros_like(x)))
