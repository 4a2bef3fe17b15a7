"""A matrix product by the layer that is made of it."""

import torch


def mm__default_kernel_impl(a, b):
    return torch.nn.functional.linear(a, b.t())
