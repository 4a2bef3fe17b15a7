"""An honest kernel: three ways to import something optional."""

import importlib
import importlib.util

import torch

HAS_FAST = importlib.util.find_spec("a_package_that_is_not_there") is not None
try:
    FAST = importlib.import_module("another_package_that_is_not_there")
except ModuleNotFoundError:
    FAST = None


def add__Tensor_kernel_impl(x, other, *, alpha=1):
    if HAS_FAST or FAST is not None:
        raise RuntimeError("never")
    return torch.sub(x, other, alpha=-alpha)
