"""Right on small inputs, and raises on those that are timed: a failure must not count as a time."""

import torch


def relu__default_kernel_impl(x):
    if x.numel() >= 1 << 16:
        raise RuntimeError("too large")
    return torch.clamp_min(x, 0)
