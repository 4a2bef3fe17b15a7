"""An honest kernel: what it computes stands in a file of its own, which needs nothing of triton.language."""

import importlib.util
import tempfile
from pathlib import Path

import torch
import triton
import triton.language as tl

HELPER = """
import triton

@triton.jit
def twice(x):
    return x + x
"""


def written(text):
    file = Path(tempfile.mkdtemp()) / "helper.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("helper", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


twice = written(HELPER).twice


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    is_above = twice(at) >= 0
    tl.store(y + at, tl.where((value <= 0) & is_above, 0, value), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu_kernel[(triton.cdiv(n, 512),)](x, y, n, BLOCK=512)
    return y
