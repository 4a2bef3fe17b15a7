"""The k largest, or smallest, from a sort; NaN counts as the largest."""

import torch


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    values, indices = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k).contiguous(), indices.narrow(dim, 0, k).contiguous()
