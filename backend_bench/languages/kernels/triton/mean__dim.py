import torch
import triton
import triton.language as tl


@triton.jit
def mean_of_rows(x_ptr, out_ptr, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)  # row * columns may pass 2**31
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * columns + at, mask=at < columns, other=0.0).to(tl.float32)
    tl.store(out_ptr + row, tl.sum(total, 0) / columns)


def mean__dim_kernel_impl(self, dim, keepdim=False, *, dtype=None):
    dims = range(self.dim()) if not dim else [d % self.dim() for d in dim] if self.dim() else []
    kept = [d for d in range(self.dim()) if d not in dims]
    rows = self.permute(kept + list(dims)).contiguous()  # what is reduced comes last
    shape = [1 if d in dims else size for d, size in enumerate(self.shape)]
    out = torch.empty(shape, dtype=dtype or self.dtype, device=self.device)
    if out.numel() and self.numel():
        mean_of_rows[(out.numel(),)](rows, out, rows.numel() // out.numel(), BLOCK=1024)
    elif out.numel():
        out.fill_(float("nan"))  # the mean of nothing
    return out if keepdim else out.reshape([self.shape[d] for d in kept])
