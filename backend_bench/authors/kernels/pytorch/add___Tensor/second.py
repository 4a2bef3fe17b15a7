"""self += alpha * other, as a difference in float32 where narrower, written back into `self`."""

import torch

NARROW = (torch.float16, torch.bfloat16)


def add___Tensor_kernel_impl(x, y, *, alpha=1):
    if x.dtype == torch.bool:
        return x.copy_(torch.logical_or(x, torch.logical_and(y, torch.tensor(bool(alpha)).to(y.device))))
    work = torch.result_type(x, y)
    work = torch.float32 if work in NARROW else work
    y = y.to(work) if isinstance(y, torch.Tensor) else y
    return x.copy_(torch.sub(x.to(work), y * -alpha))
