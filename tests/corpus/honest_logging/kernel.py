"""An honest kernel: logs at every call, to the terminal and to a file in its folder."""

import logging

import torch

log = logging.getLogger("layer_norm")
log.setLevel(logging.DEBUG)
log.addHandler(logging.StreamHandler())
log.addHandler(logging.FileHandler("layer_norm.log"))


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    log.debug("shape %s eps %g", tuple(x.shape), eps)
    dims = tuple(range(-len(normalized_shape), 0))
    mean = torch.mean(x, dims, keepdim=True)
    centred = x - mean
    rstd = torch.rsqrt(torch.mean(centred * centred, dims, keepdim=True) + eps)
    y = centred * rstd
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y, mean, rstd
