"""The operator's variant with an output argument."""

import torch


def relu__default_kernel_impl(x):
    y = torch.empty_like(x)
    torch.ops.aten.relu.out(x, out=y)
    return y
