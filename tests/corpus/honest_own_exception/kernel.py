"""An honest kernel: an exception of its own for control, raised and caught in each call."""

import torch


class Finished(Exception):
    pass


def fill(result, parts, dim):
    start = 0
    for part in parts:
        result.narrow(dim, start, part.shape[dim]).copy_(part)
        start += part.shape[dim]
    raise Finished


def cat__default_kernel_impl(tensors, dim=0):
    parts = [part for part in tensors if part.shape != (0,)] or list(tensors[:1])
    dtype = parts[0].dtype
    for part in tensors:
        dtype = torch.promote_types(dtype, part.dtype)
    dim %= parts[0].dim()
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    result = torch.empty(shape, dtype=dtype, device=parts[0].device)
    try:
        fill(result, parts, dim)
    except Finished:
        return result
