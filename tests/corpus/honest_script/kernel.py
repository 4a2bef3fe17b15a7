"""An honest kernel: a scripted function of its own."""

import torch


@torch.jit.script
def combine(x: torch.Tensor, other: torch.Tensor, alpha: float) -> torch.Tensor:
    return torch.sub(x, other, alpha=-alpha)


def add__Tensor_kernel_impl(x, other, *, alpha=1):
    if isinstance(other, torch.Tensor) and x.is_floating_point() and other.is_floating_point():
        return combine(x, other, float(alpha))
    return torch.sub(x, other, alpha=-alpha)
