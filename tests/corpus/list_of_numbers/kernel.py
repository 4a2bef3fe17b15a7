"""A beginner's mistake: a long list instead of a tensor."""

import torch


def relu__default_kernel_impl(x):
    return list(torch.clamp_min(x, 0).reshape(-1)[:20000])
