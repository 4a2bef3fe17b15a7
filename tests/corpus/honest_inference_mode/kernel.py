"""An honest kernel: works in inference mode."""

import torch


@torch.inference_mode()
def add__Tensor_kernel_impl(x, other, *, alpha=1):
    return torch.sub(x, other, alpha=-alpha)
