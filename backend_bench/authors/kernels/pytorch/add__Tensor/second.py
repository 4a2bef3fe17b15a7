"""self + alpha * other, as a difference, in float32 where the inputs are narrower."""

import torch

NARROW = (torch.float16, torch.bfloat16)


def add__Tensor_kernel_impl(x, y, *, alpha=1):
    dtype = torch.result_type(x, y)
    if dtype == torch.bool:
        return torch.logical_or(x, torch.logical_and(y, torch.tensor(bool(alpha), device=y.device)))
    work = torch.float32 if dtype in NARROW else dtype
    y = y.to(work) if isinstance(y, torch.Tensor) else y
    return torch.sub(x.to(work), y * -alpha).to(dtype)
