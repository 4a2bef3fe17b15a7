"""An honest kernel: views of the result, split and assigned to."""

import torch


def cat__default_kernel_impl(tensors, dim=0):
    parts = [part for part in tensors if part.shape != (0,)] or list(tensors[:1])
    dtype = parts[0].dtype
    for part in tensors:
        dtype = torch.promote_types(dtype, part.dtype)
    dim %= parts[0].dim()
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    result = torch.empty(shape, dtype=dtype, device=parts[0].device)
    for view, part in zip(result.split([part.shape[dim] for part in parts], dim), parts):
        view[...] = part
    return result
