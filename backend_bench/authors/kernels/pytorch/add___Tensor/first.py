"""self += alpha * other, as a difference. The result is a new tensor; `self` stays as it was."""

import torch


def add___Tensor_kernel_impl(x, y, *, alpha=1):
    return torch.sub(x, y * -alpha)
