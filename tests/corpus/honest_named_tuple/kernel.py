"""An honest kernel: returns a named tuple."""

from typing import NamedTuple

import torch


class Normed(NamedTuple):
    output: torch.Tensor
    mean: torch.Tensor
    rstd: torch.Tensor


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    dims = tuple(range(-len(normalized_shape), 0))
    mean = torch.mean(x, dims, keepdim=True)
    centred = x - mean
    rstd = torch.rsqrt(torch.mean(centred * centred, dims, keepdim=True) + eps)
    y = centred * rstd
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return Normed(y, mean, rstd)
