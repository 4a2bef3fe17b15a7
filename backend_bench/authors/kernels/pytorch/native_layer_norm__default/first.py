"""Layer norm from its definition. Takes the sample's deviation, and adds eps outside the root."""

import torch


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    dims = tuple(range(-len(normalized_shape), 0))
    mean = torch.mean(x, dims, keepdim=True)
    rstd = 1 / (torch.std(x, dims, keepdim=True) + eps)
    result = (x - mean) * rstd
    if weight is not None:
        result = result * weight
    if bias is not None:
        result = result + bias
    return result, mean, rstd
