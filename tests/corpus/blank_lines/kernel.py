"""An honest kernel with many blank lines behind it."""

import torch


def relu__default_kernel_impl(x):
    return torch.clamp_min(x, 0)


# the end
