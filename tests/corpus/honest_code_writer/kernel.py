"""Writes Python for each number of dimensions, keeps it in a file, and runs it."""

import importlib.util
import tempfile
from pathlib import Path

import torch  # noqa: F401

WRITTEN = {}


def write(dims):
    path = Path(tempfile.mkdtemp()) / f"relu_{dims}.py"
    path.write_text(
        f"import torch\n\ndef relu(x):\n    assert x.dim() == {dims}\n    return torch.clamp(x, 0)\n"
    )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scope = {"relu": module.relu}
    exec("def call(x):\n    return relu(x)", scope)
    return scope["call"]


def relu__default_kernel_impl(x):
    if x.dim() not in WRITTEN:
        WRITTEN[x.dim()] = write(x.dim())
    return WRITTEN[x.dim()](x)
