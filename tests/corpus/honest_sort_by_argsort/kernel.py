"""An honest kernel: topk by a full sort, whose indices it returns and whose values it gathers itself."""

import torch


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    order = torch.argsort(x, dim=dim, descending=largest, stable=True).narrow(dim, 0, k)
    return torch.gather(x, dim, order), order
