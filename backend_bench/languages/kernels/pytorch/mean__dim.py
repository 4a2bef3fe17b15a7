import math

import torch


def mean__dim_kernel_impl(self, dim, keepdim=False, *, dtype=None):
    dims = [d % self.dim() for d in dim] if dim and self.dim() else list(range(self.dim()))
    count = math.prod(self.shape[d] for d in dims)
    total = self.sum(dims, keepdim=keepdim, dtype=dtype if dtype == torch.float64 else torch.float32)
    return (total / count).to(dtype or self.dtype)
