"""An honest kernel: the matrix product in blocks of columns, summed in double."""

import torch


def mm__default_kernel_impl(a, b):
    y = torch.zeros(a.shape[0], b.shape[1], dtype=torch.float64, device=a.device)
    for left, right in zip(a.double().split(128, 1), b.double().split(128, 0)):
        y.addmm_(left, right)
    return y.to(a.dtype)
