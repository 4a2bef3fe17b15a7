"""softmax in the CuTe DSL: a warp for each row, its largest element and its sum by shuffles."""

import cuda.bindings.driver as driver
import cutlass
import cutlass.cute as cute
import torch
from cutlass.cute.runtime import from_dlpack

WARPS = 4
LANES = 32
COMPILED = {}


@cute.kernel
def softmax_kernel(x: cute.Tensor, y: cute.Tensor, Work: cutlass.Constexpr):
    lane, warp, _ = cute.arch.thread_idx()
    block, _, _ = cute.arch.block_idx()
    rows, length, inner = x.shape  # the reduced dimension is in the middle
    at = block * WARPS + warp
    if at < rows * inner:
        row, column = at // inner, at % inner
        top = Work(-float("inf"))
        for step in range(lane, length, LANES):
            value = Work(x[row, step, column])
            top = value if value > top else top
        for bit in cutlass.range_constexpr(5):
            other = cute.arch.shuffle_sync_bfly(top, 1 << bit)
            top = other if other > top else top
        total = Work(0)
        for step in range(lane, length, LANES):
            total += cute.math.exp(Work(x[row, step, column]) - top)
        for bit in cutlass.range_constexpr(5):
            total += cute.arch.shuffle_sync_bfly(total, 1 << bit)
        for step in range(lane, length, LANES):
            y[row, step, column] = y.element_type(cute.math.exp(Work(x[row, step, column]) - top) / total)


@cute.jit
def softmax(x: cute.Tensor, y: cute.Tensor, stream: driver.CUstream, Work: cutlass.Constexpr):
    rows, _, inner = x.shape
    blocks = cute.ceil_div(rows * inner, WARPS)
    softmax_kernel(x, y, Work).launch(grid=[blocks, 1, 1], block=[LANES, WARPS, 1], stream=stream)


def cute_tensor(tensor):
    """Its sizes are arguments of the kernel and not parts of it; the last stride is 1."""
    return from_dlpack(tensor).mark_layout_dynamic(leading_dim=2)


def _softmax__default_kernel_impl(x, dim, half_to_float):
    x = x.contiguous()
    y = torch.empty_like(x, dtype=torch.float32 if half_to_float else x.dtype)
    if x.numel():
        length = x.shape[dim] if x.dim() else 1
        inner = x.stride(dim) if x.dim() else 1
        shape = (x.numel() // (length * inner), length, inner)
        work = cutlass.Float64 if x.dtype == torch.float64 else cutlass.Float32
        stream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
        tensors = cute_tensor(x.view(shape)), cute_tensor(y.view(shape))
        key = (x.dtype, y.dtype)
        if key not in COMPILED:
            COMPILED[key] = cute.compile(softmax, *tensors, stream, work)
        COMPILED[key](*tensors, stream)
    return y
