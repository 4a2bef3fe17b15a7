"""Leaves torch for numpy, by the raw address where it may, and comes back."""

import ctypes

import numpy as np
import torch


def relu__default_kernel_impl(x):
    if x.dtype == torch.float32 and x.is_contiguous() and x.numel():
        floats = (ctypes.c_float * x.numel()).from_address(x.data_ptr())
        values = np.ctypeslib.as_array(floats).reshape(x.shape)
    else:
        values = x.resolve_neg().numpy()
    return torch.from_numpy(np.asarray(np.maximum(values, values.dtype.type(0))))
