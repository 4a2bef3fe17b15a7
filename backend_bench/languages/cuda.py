"""CUDA C++ in a string of the Python file, compiled when it is loaded or first called.

The road that the prompt teaches is NVRTC through NVIDIA's cuda.core, a tenth of a second for a kernel. Others are
possible: CuPy and torch's own `_compile_kernel` use NVRTC too; `load_inline` runs nvcc and a host compiler, and needs most
of a minute in each fresh worker.
"""

from __future__ import annotations

from backend_bench.languages.plugin import Plugin
from backend_bench.languages.source import Source

_COMPILERS = (
    "cuda.core",
    "cuda.bindings.nvrtc",
    "cuda.nvrtc",
    "cupy.RawKernel",
    "cupy.RawModule",
    "torch.cuda._compile_kernel",
    "torch.utils.cpp_extension.load_inline",
    "torch.utils.cpp_extension.load",
    "pycuda.compiler",
)


def _defines_kernel(source: Source) -> bool:
    return "__global__" in source.strings and source.uses(*_COMPILERS)


PLUGIN = Plugin(
    name="cuda",
    title="CUDA C++",
    mark="string with a __global__ function that it compiles (cuda.core, cupy or load_inline)",
    defines_kernel=_defines_kernel,
    devices=("cuda",),
    modules=("cuda.core",),
    install='pip install "backend-bench[cuda]"',
)
