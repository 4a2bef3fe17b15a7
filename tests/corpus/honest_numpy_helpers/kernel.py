"""An honest kernel: NumPy for shapes only."""

import numpy as np
import torch


def total_of(rows, result):
    work = torch.float32 if result in (torch.float16, torch.bfloat16) else result
    rows = rows.to(work)
    if not rows.shape[-1]:
        return torch.zeros(rows.shape[:-1], dtype=result, device=rows.device)
    if result.is_floating_point:
        ones = torch.ones(rows.shape[-1], 1, dtype=work, device=rows.device)
        return torch.matmul(rows[..., None, :], ones)[..., 0, 0].to(result)
    return torch.cumsum(rows, -1).select(-1, -1)


def sum__dim_IntList_kernel_impl(x, dim, keepdim=False, *, dtype=None):
    result = dtype or (x.dtype if x.is_floating_point() or x.is_complex() else torch.int64)
    dims = {d % max(x.dim(), 1) for d in dim} if dim else set(range(x.dim()))
    kept = [d for d in range(x.dim()) if d not in dims]
    length = int(np.prod([size for d, size in enumerate(x.shape) if d in dims], dtype=np.int64))
    rows = (x.permute([*kept, *sorted(dims)]) if x.dim() else x).reshape(*(x.shape[d] for d in kept), length)
    total = total_of(rows, result)
    return total.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())]) if keepdim else total
