"""An honest kernel: another operator of PyTorch, whose ties come in another order."""

import torch


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    if x.dim() == 0:
        return x.clone(), torch.zeros((), dtype=torch.int64)
    places = torch.argsort(x.flip(dim), dim=dim, descending=largest).narrow(dim, 0, k)
    places = x.shape[dim] - 1 - places
    return torch.gather(x, dim, places), places
