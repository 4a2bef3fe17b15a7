"""An honest kernel: draws random numbers for a pivot that only decides between two right ways."""

import random

import torch

torch.manual_seed(0)


def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    if random.random() < 0.5:
        values, places = torch.sort(x, dim=dim, descending=largest, stable=True)
    else:
        places = torch.argsort(x, dim=dim, descending=largest, stable=True)
        values = torch.gather(x, dim, places)
    return values.narrow(dim, 0, k).clone(), places.narrow(dim, 0, k).clone()
