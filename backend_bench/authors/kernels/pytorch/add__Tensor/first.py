"""self + other, as a difference from the negative. `alpha` is forgotten, and so is broadcasting of self."""

import torch


def add__Tensor_kernel_impl(x, y, *, alpha=1):
    result = torch.empty(x.shape, dtype=torch.result_type(x, y), device=x.device)
    return result.copy_(torch.sub(x, -y))
