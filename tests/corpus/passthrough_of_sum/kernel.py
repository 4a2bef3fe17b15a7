"""The operator under test as a method."""

import torch


def sum__dim_IntList_kernel_impl(x, dim, keepdim=False, *, dtype=None):
    return x.sum(dim=dim, keepdim=keepdim, dtype=dtype)
