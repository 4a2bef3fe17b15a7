"""An honest kernel: a mean times a count."""

import math

import torch


def sum__dim_IntList_kernel_impl(x, dim, keepdim=False, *, dtype=None):
    result = dtype or (x.dtype if x.is_floating_point() or x.is_complex() else torch.int64)
    dims = {d % max(x.dim(), 1) for d in dim} if dim else set(range(x.dim()))
    kept = [d for d in range(x.dim()) if d not in dims]
    length = math.prod(size for d, size in enumerate(x.shape) if d in dims)
    rows = (x.permute([*kept, *sorted(dims)]) if x.dim() else x).reshape(*(x.shape[d] for d in kept), length)
    total = (
        rows.double().mean(-1).mul(length) if length else torch.zeros(rows.shape[:-1], dtype=torch.float64)
    )
    total = total.to(result) if result.is_floating_point else total.round().to(result)
    return total.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())]) if keepdim else total
