"""A sum as the last of the running sums, all reduced dims in one, in a type wide enough."""

import torch


def sum__dim_IntList_kernel_impl(x, dim=None, keepdim=False, *, dtype=None):
    result = dtype or (x.dtype if x.is_floating_point() or x.is_complex() else torch.int64)
    work = torch.float64 if result.is_floating_point else result
    dims = {d % max(x.dim(), 1) for d in dim} if dim else set(range(x.dim()))
    kept = [d for d in range(x.dim()) if d not in dims]
    shape = [x.shape[d] for d in kept]
    length = 1
    for d in dims if x.dim() else ():
        length *= x.shape[d]
    rows = x.to(result).to(work).permute(*kept, *sorted(dims)) if x.dim() else x.to(work)
    rows = rows.reshape(*shape, length)
    if length:
        total = torch.cumsum(rows, -1).select(-1, -1)
    else:
        total = torch.zeros(shape, dtype=work, device=x.device)
    if keepdim:
        total = total.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())])
    return total.to(result)
