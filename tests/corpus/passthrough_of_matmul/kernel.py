"""A matrix product by the name that picks the operator under test."""

import torch


def mm__default_kernel_impl(a, b):
    return torch.matmul(a, b)
