"""self += alpha * other, as a difference from the negative multiple, in place."""

import torch


def add___Tensor_kernel_impl(x, y, *, alpha=1):
    if x.dtype == torch.bool:
        return x.logical_or_(torch.logical_and(y, torch.tensor(bool(alpha), device=x.device)))
    return x.sub_(y, alpha=-alpha)
