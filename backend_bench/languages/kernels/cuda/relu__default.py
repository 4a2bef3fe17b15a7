"""relu in CUDA C++: NVRTC compiles it for each type of element when that is first met, in a tenth of a second."""

import functools

import torch
from cuda.core import LaunchConfig, Program, ProgramOptions, Stream, launch
from cuda.pathfinder import find_nvidia_header_directory

THREADS = 256
TYPES = {
    torch.float64: "double", torch.float32: "float", torch.float16: "__half", torch.bfloat16: "__nv_bfloat16",
    torch.int64: "long long", torch.int32: "int", torch.int16: "short", torch.int8: "signed char",
    torch.uint8: "unsigned char",
}  # fmt: skip
SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T>
__global__ void relu(const T* x, T* y, long long n) {
    long long at = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (at >= n) return;
    T value = x[at];
    y[at] = value <= T(0) ? T(0) : value;  // NaN is not below zero, so it stays
}
"""


@functools.cache
def compiled(dtype):
    name = f"relu<{TYPES[dtype]}>"
    options = ProgramOptions(
        arch="sm_{}{}".format(*torch.cuda.get_device_capability()),
        std="c++17",
        include_path=find_nvidia_header_directory("cudart"),
    )
    return Program(SOURCE, "c++", options).compile("cubin", name_expressions=(name,)).get_kernel(name)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        stream = Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        config = LaunchConfig(grid=-(-n // THREADS), block=THREADS)
        # A Python int is passed as eight bytes: a pointer, or a long long.
        launch(stream, config, compiled(x.dtype), x.data_ptr(), y.data_ptr(), n)
    return y
