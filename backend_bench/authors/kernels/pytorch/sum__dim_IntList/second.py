"""A sum as a product with ones, or, of integers, as the last of the running sums."""

import torch

NARROW = (torch.float16, torch.bfloat16)


def sum__dim_IntList_kernel_impl(x, dim=None, keepdim=False, *, dtype=None):
    result = dtype or (x.dtype if x.is_floating_point() or x.is_complex() else torch.int64)
    dims = {d % max(x.dim(), 1) for d in dim} if dim else set(range(x.dim()))
    kept = [d for d in range(x.dim()) if d not in dims]
    shape = [x.shape[d] for d in kept]
    length = 1
    for d in dims if x.dim() else ():
        length *= x.shape[d]
    rows = x.permute([*kept, *sorted(dims)]) if x.dim() else x
    total = sum_rows(rows.reshape(*shape, length), result)
    if keepdim:
        total = total.reshape([1 if d in dims else x.shape[d] for d in range(x.dim())])
    return total


def sum_rows(rows, result):
    """The sum over the last dim, which may be empty."""
    work = torch.float32 if result in NARROW else result
    rows = rows.to(work)
    if not rows.shape[-1]:
        return torch.zeros(rows.shape[:-1], dtype=result, device=rows.device)
    if result.is_floating_point:
        ones = torch.ones(rows.shape[-1], 1, dtype=work, device=rows.device)
        return torch.matmul(rows[..., None, :], ones)[..., 0, 0].to(result)
    return torch.cumsum(rows, -1).select(-1, -1)
