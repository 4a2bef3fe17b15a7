"""self + alpha * other, as a difference from the negative multiple."""

import torch


def add__Tensor_kernel_impl(x, y, *, alpha=1):
    if torch.result_type(x, y) == torch.bool:
        return torch.logical_or(x, torch.logical_and(y, torch.tensor(bool(alpha), device=x.device)))
    return torch.sub(x, y, alpha=-alpha)
