"""self + other, as a difference from the negative. `alpha` is forgotten."""

import torch


def add__Tensor_kernel_impl(x, y, *, alpha=1):
    return torch.sub(x, -y)
