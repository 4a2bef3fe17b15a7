"""softmax in Helion: rows are tiled, and each is read in pieces that carry the largest element and the sum along."""

import helion
import helion.language as hl
import torch


@helion.kernel(config=helion.Config(block_sizes=[1024, 1], num_warps=4))
def softmax(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    rows, length = x.size()
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    block = hl.register_block_size(length)
    for row in hl.tile(rows):
        top = hl.full([row], float("-inf"), dtype=work)
        total = hl.zeros([row], dtype=work)
        for at in hl.tile(length, block_size=block):
            value = x[row, at].to(work)
            larger = torch.maximum(top, torch.amax(value, dim=1))
            shift = torch.where(larger == float("-inf"), 0, larger)  # nothing finite so far
            total = total * torch.exp(top - shift) + torch.exp(value - shift[:, None]).sum(dim=1)
            top = larger
        shift = torch.where(top == float("-inf"), 0, top)
        for at in hl.tile(length, block_size=block):
            out[row, at] = torch.exp(x[row, at].to(work) - shift[:, None]) / total[:, None]
    return out


def _softmax__default_kernel_impl(x, dim, half_to_float):
    last = x.reshape(1) if not x.dim() else x.movedim(dim, -1)
    rows = last.reshape(-1, last.shape[-1]) if x.numel() else last
    out = torch.empty_like(rows, dtype=torch.float32 if half_to_float else x.dtype)
    if x.numel():
        softmax(rows.contiguous(), out)
    return out.view(last.shape).movedim(-1, dim) if x.dim() else out.view(())
