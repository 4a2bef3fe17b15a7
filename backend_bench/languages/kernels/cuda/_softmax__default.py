"""softmax in CUDA C++: one block for each row, its largest element and its sum by shuffles in a warp and across warps."""

import functools

import torch
from cuda.core import LaunchConfig, Program, ProgramOptions, Stream, launch
from cuda.pathfinder import find_nvidia_header_directory

THREADS = 256
TYPES = {
    torch.float64: "double", torch.float32: "float", torch.float16: "__half", torch.bfloat16: "__nv_bfloat16",
}  # fmt: skip
SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct Larger { template <typename W> __device__ W operator()(W a, W b) const { return a > b ? a : b; } };
struct Sum { template <typename W> __device__ W operator()(W a, W b) const { return a + b; } };

// All threads of the block get the result. `part` has room for one value of each warp.
template <typename W, typename F>
__device__ W all_of_block(W value, F combine, W* part) {
    for (int away = 16; away; away /= 2) value = combine(value, __shfl_xor_sync(~0u, value, away));
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
    __syncthreads();
    value = part[0];
    for (int warp = 1; warp < blockDim.x / 32; ++warp) value = combine(value, part[warp]);
    __syncthreads();
    return value;
}

// A row's elements lie `inner` apart; W is the type that is computed in.
template <typename T, typename W, typename O>
__global__ void softmax(const T* x, O* y, long long length, long long inner) {
    __shared__ W part[32];
    long long row = blockIdx.x;
    long long base = row / inner * length * inner + row % inner;
    W top = -__int_as_float(0x7f800000), total = 0;  // from -infinity
    for (long long at = threadIdx.x; at < length; at += blockDim.x) top = Larger()(top, W(x[base + at * inner]));
    top = all_of_block(top, Larger(), part);
    for (long long at = threadIdx.x; at < length; at += blockDim.x) total += exp(W(x[base + at * inner]) - top);
    total = all_of_block(total, Sum(), part);
    for (long long at = threadIdx.x; at < length; at += blockDim.x)
        y[base + at * inner] = O(exp(W(x[base + at * inner]) - top) / total);
}
"""


@functools.cache
def compiled(dtype, out):
    work = "double" if dtype == torch.float64 else "float"
    name = f"softmax<{TYPES[dtype]}, {work}, {TYPES[out]}>"
    options = ProgramOptions(
        arch="sm_{}{}".format(*torch.cuda.get_device_capability()),
        std="c++17",
        include_path=find_nvidia_header_directory("cudart"),
    )
    return Program(SOURCE, "c++", options).compile("cubin", name_expressions=(name,)).get_kernel(name)


def _softmax__default_kernel_impl(x, dim, half_to_float):
    x = x.contiguous()
    y = torch.empty_like(x, dtype=torch.float32 if half_to_float else x.dtype)
    if x.numel():
        length = x.shape[dim] if x.dim() else 1
        inner = x.stride(dim) if x.dim() else 1
        stream = Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        config = LaunchConfig(grid=x.numel() // length, block=THREADS)
        launch(stream, config, compiled(x.dtype, y.dtype), x.data_ptr(), y.data_ptr(), length, inner)
    return y
